# SwinIR-M ("classical"), pre-trained on DIV2K: 11,900,199 parameters.
scale = 4
sr_net = dict(
    type='sr4ir_mm.SwinIRNet',
    upscale=scale,
    in_chans=3,
    img_size=48,
    window_size=8,
    img_range=1.0,
    depths=[6, 6, 6, 6, 6, 6],
    embed_dim=180,
    num_heads=[6, 6, 6, 6, 6, 6],
    mlp_ratio=2,
    upsampler='pixelshuffle',
    resi_connection='1conv',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmediting/swinir/'
        'swinir_x4s48w8d6e180_8xb4-lr2e-4-500k_div2k-88e4903d.pth',
        prefix='generator.',
    ),
)
sr_optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0),
)
