# The paper's text, as `one-batch`, without the TDP loss.
_base_ = '../sr4ir_deeplabv3_voc_x8.py'

phases = _base_.phases
phases[0].losses.pop()
phases[1].losses[0].views = {'sr+hr+cqmix': 1.02}
model = dict(phases=phases)
