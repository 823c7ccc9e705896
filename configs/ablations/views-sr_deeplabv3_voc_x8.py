# Table 5: SR4IR with the task network trained on SR images alone.
# The paper does not give the weights of the views: they add up to 1.
_base_ = '../sr4ir_deeplabv3_voc_x8.py'

phases = _base_.phases
phases[1].losses[0].views = dict(sr=1.0)
model = dict(phases=phases)
