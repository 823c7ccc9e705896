# Table 5: SR4IR with the task network trained on SR and HR images alone.
# The paper does not give the weights of the views: they add up to 1.
_base_ = '../sr4ir_resnet18_cars_x8.py'

phases = _base_.phases
phases[1].losses[0].views = dict(sr=0.5, hr=0.5)
model = dict(phases=phases)
