# LIIF on EDSR-baseline, pre-trained on DIV2K for scales of 1 to 4: change
# `scale`, and keep the weights.
scale = 4
sr_net = dict(
    type='sr4ir_mm.LIIF',
    scale=scale,
    network=dict(
        type='mmagic.LIIFEDSRNet',
        encoder=dict(
            type='EDSRNet',
            in_channels=3,
            out_channels=3,
            mid_channels=64,
            num_blocks=16,
        ),
        imnet=dict(
            type='MLPRefiner',
            in_dim=64,
            out_dim=3,
            hidden_list=[256, 256, 256, 256],
        ),
        eval_bsize=30000,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmediting/restorers/liif/'
            'liif_edsr_norm_c64b16_g1_1000k_div2k_20210715-ab7ce3fc.pth',
            prefix='generator.',
        ),
    ),
)
sr_optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0),
)
