_base_ = [
    '../sr4ir_deeplabv3_voc_x4.py',
    '../_base_/recipes/t2s.py',
]

model = _base_.recipe
train_cfg = _base_.two_stages
param_scheduler = _base_.task_then_sr
