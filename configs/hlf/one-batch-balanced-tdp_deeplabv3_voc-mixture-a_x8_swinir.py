# SR4IR of 2026, TDP pulling as hard as the pixel loss.
_base_ = './sr4ir-2026_deeplabv3_voc-mixture-a_x8_swinir.py'

phases = _base_.model.phases
phases[0].losses[1].balance = 1.0
model = dict(phases=phases)
