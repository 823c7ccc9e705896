# The SR network for a task network that stays as it is, by its features: the
# second stage of T -> S with TDP in place of the task loss. It needs no
# labels.
_base_ = './t2s_2nd.py'

recipe = _base_.recipe
recipe.phases[0].losses[1] = dict(type='sr4ir_mm.TDPLoss')
