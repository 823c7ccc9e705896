# The rival that restores nothing: enlarged LR images, and the teacher's
# features.
_base_ = [
    '../sr4ir_deeplabv3_voc-mixture-a_x8_swinir.py',
    '../_base_/recipes/l2t.py',
]

recipe = _base_.recipe
recipe.phases[0].losses[0].type = 'sr4ir_mm.FeatureMatchingLoss'
model = recipe
del _base_.optim_wrapper['sr_net']
param_scheduler = _base_.one_period
