# EDSR-baseline: 1,665,283 parameters. There is no public x8 release of it: all
# but the third upsampling stage starts from the x4 weights.
_base_ = './edsr_x4.py'

scale = 8
sr_net = dict(upscale_factor=scale)
