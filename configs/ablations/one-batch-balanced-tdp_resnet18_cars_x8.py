# The paper's text, as `one-batch`, with TDP that pulls as hard as the pixel
# loss.
_base_ = '../sr4ir_resnet18_cars_x8.py'

phases = _base_.phases
phases[0].losses[1].balance = 1.0
phases[1].losses[0].views = {'sr+hr+cqmix': 1.02}
model = dict(phases=phases)
