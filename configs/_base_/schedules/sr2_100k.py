# SR2: Adam at 1e-3 for the first stage, which trains the SR network, and 1e-5
# for the second, which trains both. The paper gives no number of iterations.
_base_ = '../default_runtime.py'  # its hooks are to count iterations

max_iters = 100_000
train_cfg = dict(
    type='sr4ir_mm.AlternatingIterTrainLoop',
    max_iters=max_iters,
    val_interval=10_000,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# "L2 regularization with weight 0.01" of all weights. Added to the gradient,
# it would outweigh that of the mean squared error of images in [0, 1]: FSRCNN
# loses 8 dB (docs/en/sr2.md). Decoupled, it knows no scale of the losses.
optim_wrapper = dict(
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    sr_net=dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    ),
    task_model=dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    ),
)
# Of both networks, though the classifier sits the first stage out.
param_scheduler = dict(
    type='MultiStepLR',
    milestones=[max_iters // 2],
    gamma=0.01,
    by_epoch=False,
)

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10_000))
log_processor = dict(by_epoch=False)
