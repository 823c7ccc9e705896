# As `one_batch`, with TDP that pulls at the SR image as hard as the pixel
# loss, whatever the scale of the task network's features.
_base_ = './one_batch.py'

recipe = _base_.recipe
recipe.phases[0].losses.append(
    dict(type='sr4ir_mm.TDPLoss', begin=0.1, balance=1.0)
)
