_base_ = [
    '../sr4ir_faster-rcnn_voc-mixture-a_x8_swinir.py',
    '../_base_/recipes/s2t.py',
]

model = _base_.recipe
train_cfg = _base_.two_stages
param_scheduler = _base_.sr_then_task
