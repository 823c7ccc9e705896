# TDSR-0.01 as the paper re-implements it (section S8): T -> S, with the task
# loss at 0.01 and from a third of the SR network's training on.
_base_ = './t2s.py'

recipe = _base_.recipe
recipe.phases[1].losses[1].update(views=dict(sr=0.01), begin=0.5 + 0.5 / 3)
