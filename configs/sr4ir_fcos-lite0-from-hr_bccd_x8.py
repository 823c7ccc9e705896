# As sr4ir_fcos-lite0_bccd_x8.py, for a detector that has learnt from HR images
# before: docs/en/results.md has the command.
_base_ = './sr4ir_fcos-lite0_bccd_x8.py'

teacher = 'checkpoints/t-start_bccd.pth'
model = dict(
    teacher=teacher,
    task_model=dict(
        init_cfg=dict(
            type='Pretrained', checkpoint=teacher, prefix='task_model.'
        ),
        backbone=dict(init_cfg=None),
    ),
)
optim_wrapper = dict(task_model=dict(paramwise_cfg=None))
test_evaluator = [
    *_base_.test_evaluator,
    dict(type='sr4ir_mm.SRTFD', taps=[0, 1, 2, 3]),
]
