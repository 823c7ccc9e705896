_base_ = [
    '../sr4ir_faster-rcnn_voc-mixture-a_x8_swinir.py',
    '../_base_/recipes/hlf_faster-rcnn.py',
]

model = dict(phases=_base_.recipe.phases)
