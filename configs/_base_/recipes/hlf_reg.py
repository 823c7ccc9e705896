# HLF, kept near an SR network that was trained by it before (NOLA-IR's third
# stage, without its discriminator): a tenth of the distance to what that one
# makes of the image.
_base_ = './hlf.py'

recipe = _base_.recipe
recipe.anchor = 'SET model.anchor'
for loss in recipe.phases[0].losses:
    loss.targets = dict(hr=1.0, anchor=0.1)
