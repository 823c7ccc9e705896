# What docs/en/results.md advises, and the default of `wrap`: the SR network on
# pixels, the task network on SR, HR and mixtures of both in one batch, so that
# BatchNorm normalises them together, as in prediction.
recipe = dict(
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            losses=[dict(type='sr4ir_mm.PixelLoss')],
        ),
        dict(
            name='task',
            trains='task_model',
            losses=[
                dict(type='sr4ir_mm.TaskLoss', views={'sr+hr+cqmix': 1.02}),
            ],
        ),
    ],
)
