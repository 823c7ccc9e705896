# model_zoo/toy-x4: textures of the demo's scenes, which are gone at x4.
_base_ = '../toy/sr4ir_unet_toy_x4.py'

phases = _base_.phases
phases[0].losses.pop()
phases[1].losses[0].views = {'sr+hr+cqmix': 1.02}
model = dict(phases=phases)
test_evaluator = _base_.val_evaluator
