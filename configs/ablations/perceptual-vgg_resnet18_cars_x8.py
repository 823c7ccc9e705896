# Table 6 (A): the perceptual loss of an ImageNet VGG in place of TDP.
_base_ = '../sr4ir_resnet18_cars_x8.py'

phases = _base_.phases
phases[0].losses[1] = dict(type='sr4ir_mm.PerceptualLoss', begin=0.1)
model = dict(phases=phases)
