# SR4IR: the SR network learns what the task network sees, and in turn.
phases = [
    dict(
        name='sr',
        trains='sr_net',
        losses=[
            dict(type='sr4ir_mm.PixelLoss'),
            dict(type='sr4ir_mm.TDPLoss', begin=0.1),
        ],
    ),
    dict(
        name='task',
        trains='task_model',
        losses=[
            dict(
                type='sr4ir_mm.TaskLoss',
                views=dict(sr=0.34, hr=0.34, cqmix=0.34),
            ),
        ],
    ),
]
