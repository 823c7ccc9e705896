_base_ = [
    '../sr4ir_faster-rcnn_voc_x8_swinir.py',
    '../_base_/recipes/sr.py',
]

model = _base_.recipe
param_scheduler = _base_.one_period
