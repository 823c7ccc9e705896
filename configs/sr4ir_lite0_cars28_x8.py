_base_ = './sr4ir_lite0_cars28_x4.py'

scale = 8
model = dict(
    scale=scale,
    sr_net=dict(
        upscale_factor=scale,
        init_cfg=dict(checkpoint='checkpoints/edsr-small_cars28_x8.pth'),
    ),
)
