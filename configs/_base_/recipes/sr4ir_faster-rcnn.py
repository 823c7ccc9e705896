# SR4IR with the features of both levels of the paper's detector.
_base_ = './sr4ir.py'

phases = _base_.phases
phases[0].losses[1].update(taps=[0, 1], weights=[0.5, 0.5])
