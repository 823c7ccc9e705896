_base_ = [
    '../sr4ir_resnet18_cub-mixture-a_x8_swinir.py',
    '../_base_/recipes/hlf.py',
]

model = dict(phases=_base_.recipe.phases)
