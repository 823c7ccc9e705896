# An EDSR that a laptop trains in minutes.
scale = 4
sr_net = dict(
    type='sr4ir_mm.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=16,
    num_blocks=4,
    upscale_factor=scale,
)
