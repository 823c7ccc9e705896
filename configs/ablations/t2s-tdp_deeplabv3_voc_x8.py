# Not in the paper: the second stage of T -> S with TDP in place of the task
# loss. It shows what TDP does to S by itself.
_base_ = [
    '../sr4ir_deeplabv3_voc_x8.py',
    '../_base_/recipes/t2s_2nd.py',
]

phases = _base_.phases[:1]
phases[0].losses[1].begin = 0.0
model = dict(task_model=_base_.recipe.task_model, phases=phases)
param_scheduler = _base_.one_period
