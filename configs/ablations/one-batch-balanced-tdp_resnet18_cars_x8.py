# Not in the paper: `one-batch` with TDP that pulls as hard as the pixel loss.
_base_ = [
    '../sr4ir_resnet18_cars_x8.py',
    '../_base_/recipes/one_batch_tdp.py',
]

model = _base_.recipe
