# Four shared layers: figures 8 to 10.
_base_ = './sr2_wdsr_svhn_x4.py'

model = dict(sr_net=dict(num_shared=4))
