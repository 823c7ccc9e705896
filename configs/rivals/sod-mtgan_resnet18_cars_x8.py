_base_ = [
    '../sr4ir_resnet18_cars_x8.py',
    '../_base_/recipes/sod_mtgan.py',
]

model = _base_.recipe
model.real_fake_branch.in_channels = 512
param_scheduler = _base_.one_period
