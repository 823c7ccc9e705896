# The second stage of S -> T alone: the task network on the images of an SR
# network that has been trained before, by whatever recipe of this package.
recipe = dict(
    sr_net=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='SET model.sr_net.init_cfg.checkpoint',
            prefix='sr_net.',
        ),
    ),
    phases=[
        dict(
            name='task',
            trains='task_model',
            losses=[dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0))],
        ),
    ],
)
