# TDSR-0.01 as the paper re-implements it (section S8): T -> S, with the task
# loss at 0.01 and from a third of the SR network's training on.
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
                dict(
                    type='sr4ir_mm.TaskLoss',
                    views=dict(sr=0.01),
                    begin=0.5 + 0.5 / 3,
                ),
            ],
        ),
    ],
)
