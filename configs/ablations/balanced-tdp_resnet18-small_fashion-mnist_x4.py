# Not in the paper: TDP that pulls at the SR image as hard as the pixel loss,
# whatever the scale of the task network's features (docs/en/results.md).
_base_ = '../sr4ir_resnet18-small_fashion-mnist_x4.py'

phases = _base_.phases
phases[0].losses[1].balance = 1.0
model = dict(phases=phases)
