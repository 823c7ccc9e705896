# HLF with the features of both levels of the paper's detector: their mean for
# the SR network, their sum for the task network.
_base_ = './hlf.py'

recipe = _base_.recipe
for loss in recipe.phases[0].losses:
    loss.update(taps=[0, 1], weights=[0.25, 0.25])
recipe.phases[1].losses[0].update(taps=[0, 1])
