# As in EDTR (ICCV 2025): x8 and JPEG 75, a stage of 10,000 iterations. Both
# networks start from trained ones: T on HR images, by
# configs/baselines/h2t_faster-rcnn_voc.py, S on pixels, by
# configs/hlf/sr_faster-rcnn_voc-mixture-a_x8_swinir.py.
# EDTR's S is a SwinIR too, which unshuffles an LR image of HR's size by 8.
_base_ = [
    './_base_/datasets/voc_det.py',
    './_base_/models/faster-rcnn_mobilenet-v3.py',
    './_base_/schedules/stage_10k.py',
    './_base_/sr_nets/swinir_x8.py',
    './_base_/degradations/mixture_a.py',
    './_base_/recipes/sr4ir_faster-rcnn.py',
]

sr_net = _base_.sr_net
sr_net.init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/sr_faster-rcnn_voc-mixture-a_x8_swinir/epoch_30.pth',
    prefix='sr_net.',
)
teacher = 'work_dirs/h2t_faster-rcnn_voc/epoch_30.pth'
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
optim_wrapper = dict(sr_net=_base_.sr_optim_wrapper)
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
test_evaluator = [
    *_base_.test_evaluator,
    dict(type='sr4ir_mm.SRTFD', taps=[0, 1]),
]
