_base_ = [
    '../sr4ir_deeplabv3_voc_x8.py',
    '../_base_/recipes/t2s_2nd.py',
]

model = _base_.recipe
param_scheduler = _base_.one_period
