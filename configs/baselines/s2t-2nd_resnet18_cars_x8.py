_base_ = [
    '../sr4ir_resnet18_cars_x8.py',
    '../_base_/recipes/s2t_2nd.py',
]

model = _base_.recipe
param_scheduler = _base_.one_period
