_base_ = [
    '../sr4ir_faster-rcnn_voc_x4.py',
    '../_base_/recipes/h2t.py',
]

model = _base_.recipe
del _base_.optim_wrapper['sr_net']
param_scheduler = _base_.one_period
