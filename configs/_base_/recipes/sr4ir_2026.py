# SR4IR as its authors run it in 2026 (NOLA-IR's comparison): one batch of
# three views, TDP from the first iteration on. Both networks start from
# trained ones.
recipe = dict(
    cqmix=dict(type='sr4ir_mm.CQMix', grid=8),
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            losses=[
                dict(type='sr4ir_mm.PixelLoss'),
                dict(type='sr4ir_mm.TDPLoss'),
            ],
        ),
        dict(
            name='task',
            trains='task_model',
            losses=[
                dict(type='sr4ir_mm.TaskLoss', views={'sr+hr+cqmix': 1.0}),
            ],
        ),
    ],
)
