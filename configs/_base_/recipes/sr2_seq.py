# SR2's sequential counterpart: the classifier reads the SR image. Set
# model.view='sr'.
_base_ = './sr2.py'

phases = _base_.phases
phases[1].losses[1].views = dict(sr=0.11)
