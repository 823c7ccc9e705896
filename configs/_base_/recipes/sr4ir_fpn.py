# SR4IR with the features of the first four levels of an FPN.
_base_ = './sr4ir.py'

phases = _base_.phases
phases[0].losses[1].update(taps=[0, 1, 2, 3], weights=[0.25] * 4)
