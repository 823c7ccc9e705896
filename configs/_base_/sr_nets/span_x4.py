# SPAN of 48 channels, as published, without weights. Those of its authors are
# for images around 0 in [-127, 127]; from random weights, images as they are
# (`norm=False`) learn sooner.
scale = 4
sr_net = dict(
    type='sr4ir_mm.Spandrel',
    arch='SPAN',
    num_in_ch=3,
    num_out_ch=3,
    feature_channels=48,
    upscale=scale,
    norm=False,
)
sr_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0)
)
