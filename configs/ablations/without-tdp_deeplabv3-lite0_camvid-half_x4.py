# SR4IR without the TDP loss.
_base_ = '../sr4ir_deeplabv3-lite0_camvid-half_x4.py'

phases = _base_.phases
phases[0].losses.pop()
model = dict(phases=phases)
