# What all methods start their SR network from: pixels alone, 600 iterations
# on the data set's own training images.
_base_ = [
    '../sr4ir_lite0_sign-digits_x8.py',
    '../_base_/recipes/sr.py',
]

max_iters = 600
model = dict(
    sr_net=dict(init_cfg=None),
    task_model=dict(backbone=dict(init_cfg=None)),
    **_base_.recipe,
)
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(sr_net=dict(optimizer=dict(lr=2e-3)))
cosine = dict(
    _base_.cosine, T_max=max_iters - _base_.warmup.end, end=max_iters
)
one_period = dict(
    sr_net=[_base_.warmup, cosine], task_model=[_base_.warmup, cosine]
)
param_scheduler = one_period
default_hooks = dict(checkpoint=dict(interval=max_iters // 4))
val_evaluator = [dict(type='sr4ir_mm.SRPSNR')]
