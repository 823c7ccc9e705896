# S + T: both networks at once, one backward pass, a step each.
recipe = dict(
    phases=[
        dict(
            name='joint',
            trains=['sr_net', 'task_model'],
            losses=[
                dict(type='sr4ir_mm.PixelLoss'),
                dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0)),
            ],
        ),
    ],
)
