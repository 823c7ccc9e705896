# L + H -> T: the task network on LR images enlarged bilinearly and on HR
# images, in one batch. What `one_batch` must be ahead of for its SR network.
recipe = dict(
    view='bilinear',
    sr_net=None,
    phases=[
        dict(
            name='task',
            trains='task_model',
            losses=[
                dict(type='sr4ir_mm.TaskLoss', views={'bilinear+hr': 1.0}),
            ],
        ),
    ],
)
