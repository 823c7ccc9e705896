_base_ = './sr4ir_deeplabv3-lite0_camvid-half_x4.py'

scale = 8
model = dict(
    scale=scale,
    sr_net=dict(
        upscale_factor=scale,
        init_cfg=dict(checkpoint='checkpoints/edsr-small_camvid-half_x8.pth'),
    ),
)
