_base_ = [
    '../_base_/datasets/mnist.py',
    '../_base_/models/sr2_grey_x4.py',
    '../_base_/schedules/sr2_100k.py',
    '../_base_/recipes/sr2_seq.py',
]

model = dict(
    sr_net=dict(type='sr4ir_mm.FSRCNN', upscale_factor=_base_.scale),
    view='sr',
    phases=_base_.phases,
)
