# SR4IR without the TDP loss.
_base_ = '../sr4ir_resnet18-small_fashion-mnist_x4.py'

phases = _base_.phases
phases[0].losses.pop()
model = dict(phases=phases)
