# With a pixel loss, and features that pull as hard as it does.
_base_ = './hlf_deeplabv3_voc-mixture-a_x8_swinir.py'

phases = _base_.model.phases
for loss in phases[0].losses:
    loss.balance = 0.5
phases[0].losses.append(dict(type='sr4ir_mm.PixelLoss'))
model = dict(phases=phases)
