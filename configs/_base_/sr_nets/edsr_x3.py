# EDSR-baseline, pre-trained on DIV2K: 1,554,499 parameters.
_base_ = './edsr_x4.py'

scale = 3
sr_net = dict(
    upscale_factor=scale,
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmediting/restorers/edsr/'
        'edsr_x3c64b16_1x16_300k_div2k_20200608-36d896f4.pth'
    ),
)
