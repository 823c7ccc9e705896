# Not in the paper: as `t2s-tdp`, with TDP that pulls as hard as the pixel
# loss.
_base_ = './t2s-tdp_deeplabv3_voc_x8.py'

phases = _base_.model.phases
phases[0].losses[1].balance = 1.0
model = dict(phases=phases)
