# Real-ESRGAN's compact network, as published, without weights: 621,424
# parameters. As PyTorch initializes it, nothing gets through its 17 layers:
# after 1,000 small batches it enlarged as if there were no network. This
# slope, larger than that of its PReLU, begins near that, and learns.
scale = 4
sr_net = dict(
    type='sr4ir_mm.Spandrel',
    arch='Compact',
    num_in_ch=3,
    num_out_ch=3,
    num_feat=64,
    num_conv=16,
    upscale=scale,
    init_cfg=dict(
        type='Kaiming',
        layer='Conv2d',
        a=0.45,
        mode='fan_in',
        nonlinearity='leaky_relu',
    ),
)
sr_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0)
)
