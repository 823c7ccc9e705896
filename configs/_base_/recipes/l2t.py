# L -> T: the task network on LR images enlarged bilinearly.
recipe = dict(
    view='bilinear',
    sr_net=None,
    phases=[
        dict(
            name='task',
            trains='task_model',
            losses=[dict(type='sr4ir_mm.TaskLoss', views=dict(bilinear=1.0))],
        ),
    ],
)
