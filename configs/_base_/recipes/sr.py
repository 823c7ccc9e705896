# S alone: the SR network on pixels. The task network keeps its random head.
recipe = dict(
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            losses=[dict(type='sr4ir_mm.PixelLoss')],
        ),
    ],
)
