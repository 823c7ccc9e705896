# SPAN of 48 channels, as published, without weights: 426,288 parameters, once
# its branches are merged. Its authors' weights see images times 255 without
# their mean; from random weights, images as they are (`norm=False`) learn
# sooner: 22.1 dB in place of 13.7 after 160 small batches.
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
