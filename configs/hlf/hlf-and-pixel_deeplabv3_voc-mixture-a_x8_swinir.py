_base_ = './hlf_deeplabv3_voc-mixture-a_x8_swinir.py'

phases = _base_.model.phases
phases[0].losses.append(dict(type='sr4ir_mm.PixelLoss'))
model = dict(phases=phases)
