# As in EDTR (ICCV 2025): x8 and JPEG 75, a stage of 10,000 iterations. Both
# networks start from trained ones: T on HR images, by
# configs/baselines/h2t_deeplabv3_voc.py, S on pixels, by
# configs/hlf/sr_deeplabv3_voc-mixture-a_x8_swinir.py.
# EDTR's S is a SwinIR too, which unshuffles an LR image of HR's size by 8.
_base_ = [
    './_base_/datasets/voc_seg.py',
    './_base_/models/deeplabv3_mobilenet-v3.py',
    './_base_/schedules/stage_10k.py',
    './_base_/sr_nets/swinir_x8.py',
    './_base_/degradations/mixture_a.py',
    './_base_/recipes/sr4ir.py',
]

sr_net = _base_.sr_net
sr_net.init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/sr_deeplabv3_voc-mixture-a_x8_swinir/epoch_100.pth',
    prefix='sr_net.',
)
teacher = 'work_dirs/h2t_deeplabv3_voc/epoch_100.pth'
model = dict(
    sr_net=sr_net,
    scale=_base_.scale,
    degradation=_base_.degradation,
    phases=_base_.phases,
    teacher=teacher,
    task_model=dict(
        init_cfg=dict(
            type='Pretrained', checkpoint=teacher, prefix='task_model.'
        ),
        backbone=dict(init_cfg=None),
    ),
)
optim_wrapper = dict(
    sr_net=_base_.sr_optim_wrapper,
    task_model=dict(optimizer=dict(weight_decay=1e-6)),
)
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
test_evaluator = [*_base_.test_evaluator, dict(type='sr4ir_mm.SRTFD')]
