_base_ = './sr4ir_fcos-lite0_bccd_x4.py'

scale = 8
model = dict(
    scale=scale,
    sr_net=dict(
        upscale_factor=scale,
        init_cfg=dict(checkpoint='checkpoints/edsr-small_bccd_x8.pth'),
    ),
)
