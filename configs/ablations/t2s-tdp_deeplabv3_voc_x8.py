# Not in the paper: the second stage of T -> S with TDP in place of the task
# loss. It shows what TDP does to S by itself.
_base_ = [
    '../sr4ir_deeplabv3_voc_x8.py',
    '../_base_/recipes/tdp.py',
]

model = _base_.recipe
param_scheduler = _base_.one_period
