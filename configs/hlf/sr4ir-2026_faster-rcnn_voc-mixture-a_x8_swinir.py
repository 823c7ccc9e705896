_base_ = [
    '../sr4ir_faster-rcnn_voc-mixture-a_x8_swinir.py',
    '../_base_/recipes/sr4ir_2026_faster-rcnn.py',
]

model = _base_.recipe
