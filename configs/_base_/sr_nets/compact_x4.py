# Real-ESRGAN's compact network, as published, without weights.
scale = 4
sr_net = dict(
    type='sr4ir_mm.Spandrel',
    arch='Compact',
    num_in_ch=3,
    num_out_ch=3,
    num_feat=64,
    num_conv=16,
    upscale=scale,
)
sr_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0)
)
