_base_ = './sr4ir_deeplabv3-lite0_camvid_x4.py'

scale = 8
model = dict(
    scale=scale,
    sr_net=dict(
        upscale_factor=scale,
        init_cfg=dict(checkpoint='checkpoints/edsr-small_camvid_x8.pth'),
    ),
)
