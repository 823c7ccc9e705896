# Tables S1 and S2, "pixel + percep": the SR network alone, with the perceptual
# loss of an ImageNet VGG beside the pixel loss.
_base_ = '../baselines/sr_resnet18_cars_x8.py'

model = _base_.recipe
model.phases[0].losses.append(dict(type='sr4ir_mm.PerceptualLoss'))
