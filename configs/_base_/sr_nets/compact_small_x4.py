# A compact network of a tenth of the parameters, 52,968.
_base_ = './compact_x4.py'

sr_net = dict(num_feat=24, num_conv=8, init_cfg=None)
sr_optim_wrapper = dict(optimizer=dict(lr=1e-3))
