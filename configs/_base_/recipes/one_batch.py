# What docs/en/results.md advises where nothing is known of the data: SR4IR in
# one batch, without TDP. S learns alone at first.
phases = [
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
        begin=0.2,
    ),
]
