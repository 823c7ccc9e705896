# The second stage of T -> S alone: the SR network for a task network that has
# been trained before, by whatever recipe of this package.
recipe = dict(
    task_model=dict(
        backbone=dict(init_cfg=None),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='SET model.task_model.init_cfg.checkpoint',
            prefix='task_model.',
        ),
    ),
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            losses=[
                dict(type='sr4ir_mm.PixelLoss'),
                dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0)),
            ],
        ),
    ],
)
