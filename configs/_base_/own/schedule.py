# For the few images of one's own: some hundred iterations, AdamW. What starts
# from random weights learns faster.
_base_ = '../default_runtime.py'

max_iters = 1000
train_cfg = dict(
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters // 2,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3),
    paramwise_cfg=dict(
        custom_keys={
            name: dict(lr_mult=10)
            for name in ('decode_head', 'bbox_head', 'neck', 'head.fc')
        }
    ),
)
warmup = max_iters // 20
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=warmup, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=warmup,
        T_max=max_iters - warmup,
        end=max_iters,
        eta_min=1e-5,
        by_epoch=False,
    ),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters // 10))
log_processor = dict(by_epoch=False)
