_base_ = './compact_x4.py'

sr_net = dict(num_feat=24, num_conv=8)
