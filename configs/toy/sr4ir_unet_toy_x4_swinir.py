_base_ = './sr4ir_unet_toy_x4.py'

model = dict(
    sr_net=dict(
        _delete_=True,
        type='sr4ir_mm.SwinIRNet',
        upscale=_base_.scale,
        img_size=16,
        window_size=4,
        depths=[2, 2],
        embed_dim=32,
        num_heads=[4, 4],
        mlp_ratio=2,
        upsampler='pixelshuffle',
    ),
)
