_base_ = [
    '../sr4ir_resnet18_cub_x8.py',
    '../_base_/recipes/s2t.py',
]

model = _base_.recipe
train_cfg = _base_.two_stages
param_scheduler = _base_.sr_then_task
