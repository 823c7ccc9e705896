# The task network sees SR images alone.
_base_ = './hlf_deeplabv3_voc-mixture-a_x8_swinir.py'

phases = _base_.model.phases
phases[1].losses[0].views = dict(sr=1.0)
model = dict(phases=phases)
