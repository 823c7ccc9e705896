# H -> T, the oracle: the task network on HR images.
recipe = dict(
    view='hr',
    sr_net=None,
    phases=[
        dict(
            name='task',
            trains='task_model',
            losses=[dict(type='sr4ir_mm.TaskLoss', views=dict(hr=1.0))],
        ),
    ],
)
