_base_ = './sr4ir_unet_toy_x4.py'

scale = 8
model = dict(sr_net=dict(upscale_factor=scale), scale=scale)
