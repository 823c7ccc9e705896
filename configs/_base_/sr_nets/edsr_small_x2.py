_base_ = './edsr_small_x4.py'

scale = 2
sr_net = dict(upscale_factor=scale)
