# SwinIR-M ("classical"): 12,047,911 parameters. OpenMMLab has no x8 release of
# it: all but the third upsampling stage starts from the x4 weights.
_base_ = './swinir_x4.py'

scale = 8
sr_net = dict(upscale=scale)
