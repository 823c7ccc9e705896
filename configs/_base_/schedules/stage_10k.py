# A stage of EDTR and NOLA-IR: 10,000 iterations of networks that are trained
# already, without warm-up.
_base_ = '../default_runtime.py'

max_iters = 10000
train_cfg = dict(
    type='sr4ir_mm.AlternatingIterTrainLoop',
    max_iters=max_iters,
    val_interval=1000,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
sync_bn = 'torch'
optim_wrapper = dict(
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    task_model=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=5e-3, momentum=0.9, weight_decay=1e-4),
    ),
)
cosine = dict(
    type='CosineAnnealingLR',
    T_max=max_iters,
    end=max_iters,
    eta_min=1e-7,
    by_epoch=False,
)
one_period = dict(sr_net=[cosine], task_model=[cosine])
param_scheduler = one_period

# where the networks are trained one after the other
two_stages = dict(max_iters=2 * max_iters)
cosine_2nd = dict(cosine, begin=max_iters, end=2 * max_iters)
sr_then_task = dict(sr_net=[cosine], task_model=[cosine_2nd])
task_then_sr = dict(sr_net=[cosine_2nd], task_model=[cosine])

default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=1000)
)
log_processor = dict(by_epoch=False)
