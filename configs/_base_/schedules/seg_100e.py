# The paper's schedule for segmentation, SR4IR: 100 epochs, batch 16, and
# learning rates that restart where TDP sets in.
max_epochs = 100
tdp_epoch = 10
train_cfg = dict(
    type='sr4ir_mm.AlternatingEpochTrainLoop',
    max_epochs=max_epochs,
    val_interval=5,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

sync_bn = 'torch'
auto_scale_lr = dict(enable=False, base_batch_size=16)
optim_wrapper = dict(
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    task_model=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-6),
        paramwise_cfg=dict(
            custom_keys=dict(auxiliary_head=dict(lr_mult=10.0))
        ),
    ),
)
cosine = dict(
    type='CosineRestartLR',
    periods=[tdp_epoch, max_epochs - tdp_epoch],
    restart_weights=[1, 1],
    end=max_epochs,
    by_epoch=True,
    convert_to_iter_based=True,
)
param_scheduler = dict(
    sr_net=dict(eta_min_ratio=0.01, **cosine),
    task_model=dict(eta_min=1e-4, **cosine),
)

# The other methods': one period, for both networks at once or, where they are
# trained one after the other, for each in its half of twice the epochs.
cosine_1st = dict(cosine, periods=[max_epochs], restart_weights=[1])
cosine_2nd = dict(cosine_1st, begin=max_epochs, end=2 * max_epochs)
one_period = dict(
    sr_net=dict(eta_min_ratio=0.01, **cosine_1st),
    task_model=dict(eta_min=1e-4, **cosine_1st),
)
two_stages = dict(max_epochs=2 * max_epochs)
sr_then_task = dict(
    sr_net=dict(eta_min_ratio=0.01, **cosine_1st),
    task_model=dict(eta_min=1e-4, **cosine_2nd),
)
task_then_sr = dict(
    sr_net=dict(eta_min_ratio=0.01, **cosine_2nd),
    task_model=dict(eta_min=1e-4, **cosine_1st),
)
