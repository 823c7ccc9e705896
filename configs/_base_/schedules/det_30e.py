# The paper's schedule for detection, SR4IR: 30 epochs, batch 16, one epoch of
# warm-up, and learning rates that restart where TDP sets in.
max_epochs = 30
warmup_iters = 357  # an epoch of PASCAL VOC
tdp_epoch = 3
train_cfg = dict(
    type='sr4ir_mm.AlternatingEpochTrainLoop',
    max_epochs=max_epochs,
    val_interval=5,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

auto_scale_lr = dict(enable=False, base_batch_size=16)
optim_wrapper = dict(
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    task_model=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    ),
)
warmup = dict(
    type='LinearLR',
    start_factor=1 / warmup_iters,
    # One epoch; of VOC one iteration more, as the authors count them.
    end=1 + 1.5 / warmup_iters,
    by_epoch=True,
    convert_to_iter_based=True,
)
cosine = dict(
    type='CosineRestartLR',
    periods=[tdp_epoch - 1, max_epochs - tdp_epoch],
    restart_weights=[1, 1],
    begin=1,
    end=max_epochs,
    by_epoch=True,
    convert_to_iter_based=True,
)
param_scheduler = dict(
    sr_net=[warmup, dict(eta_min_ratio=0.01, **cosine)],
    task_model=[warmup, dict(eta_min=1e-4, **cosine)],
)

# The other methods': one period, for both networks at once or, where they are
# trained one after the other, for each in its half of twice the epochs. As
# the authors', it ends an epoch short, because of the one of warm-up.
cosine_1st = dict(cosine, periods=[max_epochs], restart_weights=[1])
cosine_2nd = dict(cosine_1st, begin=max_epochs + 1, end=2 * max_epochs)
warmup_2nd = dict(warmup, begin=max_epochs, end=max_epochs + warmup['end'])
one_period = dict(
    sr_net=[warmup, dict(eta_min_ratio=0.01, **cosine_1st)],
    task_model=[warmup, dict(eta_min=1e-4, **cosine_1st)],
)
two_stages = dict(max_epochs=2 * max_epochs)
sr_then_task = dict(
    sr_net=[warmup, dict(eta_min_ratio=0.01, **cosine_1st)],
    task_model=[warmup_2nd, dict(eta_min=1e-4, **cosine_2nd)],
)
task_then_sr = dict(
    sr_net=[warmup_2nd, dict(eta_min_ratio=0.01, **cosine_2nd)],
    task_model=[warmup, dict(eta_min=1e-4, **cosine_1st)],
)
