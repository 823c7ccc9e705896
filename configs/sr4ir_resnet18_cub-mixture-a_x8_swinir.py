# As in EDTR (ICCV 2025): x8 and JPEG 75, a stage of 10,000 iterations. Both
# networks start from trained ones: T on HR images, by
# configs/baselines/h2t_resnet18_cub.py, S on pixels, by
# configs/hlf/sr_resnet18_cub-mixture-a_x8_swinir.py.
# EDTR's S is a SwinIR too, which unshuffles an LR image of HR's size by 8.
_base_ = [
    './_base_/datasets/cub.py',
    './_base_/models/resnet18.py',
    './_base_/schedules/stage_10k.py',
    './_base_/sr_nets/swinir_x8.py',
    './_base_/degradations/mixture_a.py',
    './_base_/recipes/sr4ir.py',
]

sr_net = _base_.sr_net
sr_net.init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/sr_resnet18_cub-mixture-a_x8_swinir/epoch_200.pth',
    prefix='sr_net.',
)
teacher = 'work_dirs/h2t_resnet18_cub/epoch_200.pth'
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
        head=dict(num_classes=_base_.data_preprocessor.num_classes),
    ),
)
optim_wrapper = dict(sr_net=_base_.sr_optim_wrapper)
# 8 GPUs x 4 = a batch of 32
train_dataloader = dict(
    batch_size=4, sampler=dict(type='InfiniteSampler', shuffle=True)
)
test_evaluator = [*_base_.test_evaluator, dict(type='sr4ir_mm.SRTFD')]
