# An EDSR of a tenth of the baseline's parameters. Configs say from which file
# it starts: a training on pixels alone, on the data set's own images.
scale = 4
sr_net = dict(
    type='sr4ir_mm.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=24,
    num_blocks=8,
    upscale_factor=scale,
)
sr_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0)
)
