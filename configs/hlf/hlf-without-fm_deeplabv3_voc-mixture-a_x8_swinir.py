_base_ = './hlf_deeplabv3_voc-mixture-a_x8_swinir.py'

phases = _base_.model.phases
phases[1].losses = [dict(type='sr4ir_mm.TaskLoss', views=dict(half=1.0))]
model = dict(phases=phases)
