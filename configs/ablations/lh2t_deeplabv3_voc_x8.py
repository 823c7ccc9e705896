# Not in the paper: as `one-batch-without-tdp`, without an SR network.
_base_ = [
    '../sr4ir_deeplabv3_voc_x8.py',
    '../_base_/recipes/lh2t.py',
]

model = _base_.recipe
del _base_.optim_wrapper['sr_net']
param_scheduler = _base_.one_period
