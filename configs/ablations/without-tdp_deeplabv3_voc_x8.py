# Table 4: SR4IR without the TDP loss.
_base_ = '../sr4ir_deeplabv3_voc_x8.py'

phases = _base_.phases
phases[0].losses.pop()
model = dict(phases=phases)
