_base_ = [
    '../sr4ir_deeplabv3_voc-mixture-a_x8_swinir.py',
    '../_base_/recipes/sr4ir_2026.py',
]

model = _base_.recipe
