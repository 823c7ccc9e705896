# Not in the paper: as `t2s-tdp`, with TDP that pulls as hard as the pixel
# loss.
_base_ = [
    '../sr4ir_deeplabv3_voc_x8.py',
    '../_base_/recipes/t2s_2nd.py',
]

phases = _base_.phases[:1]
phases[0].losses[1].update(begin=0.0, balance=1.0)
model = dict(task_model=_base_.recipe.task_model, phases=phases)
param_scheduler = _base_.one_period
