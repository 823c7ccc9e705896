# The paper's text: the task network sees SR, HR and mixtures in one batch, so
# that BatchNorm normalises them together, as in prediction
# (docs/en/results.md).
_base_ = '../sr4ir_resnet18_cars_x8.py'

phases = _base_.phases
phases[1].losses[0].views = {'sr+hr+cqmix': 1.02}
model = dict(phases=phases)
