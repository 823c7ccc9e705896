_base_ = [
    '../sr4ir_resnet18_cub-mixture-a_x8_swinir.py',
    '../_base_/recipes/sr4ir_2026.py',
]

model = _base_.recipe
