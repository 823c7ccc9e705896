_base_ = './sr4ir_unet_toy_x4_swinir.py'

scale = 8
model = dict(sr_net=dict(upscale=scale), scale=scale)
