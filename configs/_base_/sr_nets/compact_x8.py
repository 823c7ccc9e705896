_base_ = './compact_x4.py'

scale = 8
sr_net = dict(upscale=scale)
