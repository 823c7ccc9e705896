# HLF (EDTR, ICCV 2025): the SR network learns from features alone, those of
# the task network and of a teacher that has learnt from HR images; the task
# network from half SR, half HR images in one batch, and from the teacher's
# features. Both networks should start from trained ones: S on pixels, T on HR
# images.
recipe = dict(
    teacher='SET model.teacher',
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            losses=[
                dict(type='sr4ir_mm.TDPLoss', weights=[0.5]),
                dict(type='sr4ir_mm.FixedTDPLoss', weights=[0.5]),
            ],
        ),
        dict(
            name='task',
            trains='task_model',
            losses=[
                dict(
                    type='sr4ir_mm.FeatureMatchingLoss', views=dict(half=1.0)
                ),
            ],
        ),
    ],
)
