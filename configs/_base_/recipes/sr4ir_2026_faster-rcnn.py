# SR4IR of 2026 with the features of both levels of the paper's detector.
_base_ = './sr4ir_2026.py'

recipe = _base_.recipe
recipe.phases[0].losses[1].update(taps=[0, 1], weights=[0.5, 0.5])
