_base_ = './span_x4.py'

scale = 2
sr_net = dict(upscale=scale)
