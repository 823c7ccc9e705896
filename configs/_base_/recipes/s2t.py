# S -> T: first the SR network on pixels, then the task network on its images.
# `s2t_2nd` is the second stage alone.
recipe = dict(
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            end=0.5,
            losses=[dict(type='sr4ir_mm.PixelLoss')],
        ),
        dict(
            name='task',
            trains='task_model',
            begin=0.5,
            losses=[dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0))],
        ),
    ],
)
