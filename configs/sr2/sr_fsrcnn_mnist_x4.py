_base_ = [
    '../_base_/datasets/mnist.py',
    '../_base_/models/sr2_grey_x4.py',
    '../_base_/schedules/sr2_100k.py',
    '../_base_/recipes/sr2_sr.py',
]

model = dict(
    sr_net=dict(type='sr4ir_mm.FSRCNN', upscale_factor=_base_.scale),
    task_model=dict(backbone=dict(in_channels=56)),  # of the shared layer
    phases=_base_.phases,
)
val_evaluator = _base_.val_evaluator[1:]  # there is no classification
test_evaluator = val_evaluator
