_base_ = [
    '../sr4ir_resnet18_cub_x8.py',
    '../_base_/recipes/sr.py',
]

model = _base_.recipe
param_scheduler = _base_.one_period
