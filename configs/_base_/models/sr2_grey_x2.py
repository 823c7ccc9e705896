# SR2 on grey images, whose noise is grey, too.
_base_ = './sr2_x2.py'

noise = dict(_base_.noise, grey=True)
model = dict(degradation=[*_base_.model.degradation[:-1], noise])
