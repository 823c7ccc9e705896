_base_ = [
    '../sr4ir_deeplabv3_voc-mixture-a_x8_swinir.py',
    '../_base_/recipes/l2t.py',
]

model = _base_.recipe
del _base_.optim_wrapper['sr_net']
param_scheduler = _base_.one_period
