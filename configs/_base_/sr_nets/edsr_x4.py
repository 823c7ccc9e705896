# EDSR-baseline, pre-trained on DIV2K: 1,517,571 parameters.
scale = 4
sr_net = dict(
    type='sr4ir_mm.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=64,
    num_blocks=16,
    upscale_factor=scale,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmediting/restorers/edsr/'
        'edsr_x4c64b16_1x16_300k_div2k_20200608-3c2af8a3.pth',
        prefix='generator.',
    ),
)
sr_optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0),
    # The paper's EDSR computes in [0, 255], ours in [0, 1]: the weights
    # are the same, the biases 255 times smaller, and so must be Adam's steps.
    paramwise_cfg=dict(
        custom_keys=dict(bias=dict(lr_mult=1 / 255, eps=255e-8))
    ),
)
