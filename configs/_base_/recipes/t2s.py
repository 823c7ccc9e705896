# T -> S: first the task network on HR images, then the SR network for it.
# `t2s_2nd` is the second stage alone.
recipe = dict(
    phases=[
        dict(
            name='task',
            trains='task_model',
            end=0.5,
            losses=[dict(type='sr4ir_mm.TaskLoss', views=dict(hr=1.0))],
        ),
        dict(
            name='sr',
            trains='sr_net',
            begin=0.5,
            losses=[
                dict(type='sr4ir_mm.PixelLoss'),
                dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0)),
            ],
        ),
    ],
)
