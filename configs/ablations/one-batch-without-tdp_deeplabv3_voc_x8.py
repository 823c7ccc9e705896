# Not in the paper: `one-batch` without the TDP loss, which docs/en/results.md
# advises.
_base_ = [
    '../sr4ir_deeplabv3_voc_x8.py',
    '../_base_/recipes/one_batch.py',
]

model = _base_.recipe
