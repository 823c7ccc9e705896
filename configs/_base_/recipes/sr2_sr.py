# SR2's other counterpart, the SR network alone: what SR2 does at weight 0.
phases = [
    dict(
        name='sr',
        trains='sr_net',
        losses=[dict(type='sr4ir_mm.PixelLoss', criterion='l2')],
    ),
]
