# A SwinIR of the lightweight kind, with a tenth of its parameters.
scale = 4
sr_net = dict(
    type='sr4ir_mm.SwinIRNet',
    upscale=scale,
    in_chans=3,
    img_size=48,
    window_size=8,
    img_range=1.0,
    depths=[4, 4],
    embed_dim=36,
    num_heads=[4, 4],
    mlp_ratio=2,
    upsampler='pixelshuffledirect',
    resi_connection='1conv',
)
sr_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0)
)
