# EDSR-baseline, pre-trained on DIV2K: 1,369,859 parameters.
_base_ = './edsr_x4.py'

scale = 2
sr_net = dict(
    upscale_factor=scale,
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmediting/restorers/edsr/'
        'edsr_x2c64b16_1x16_300k_div2k_20200604-19fe95ea.pth'
    ),
)
