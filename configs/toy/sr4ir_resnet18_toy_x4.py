# SR4IR classification on toy scenes: `bash tools/demo.sh cls`.
_base_ = [
    '../_base_/datasets/toy_scenes_cls.py',
    '../_base_/schedules/toy_800it.py',
    '../_base_/sr_nets/edsr_toy_x4.py',
    '../_base_/recipes/sr4ir.py',
]

model = dict(
    type='sr4ir_mm.SRClassifier',
    sr_net=_base_.sr_net,
    task_model=dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet_CIFAR',
            depth=18,
            stem_channels=16,
            base_channels=16,
            num_stages=3,
            strides=(2, 1, 2),
            dilations=(1, 1, 1),
            out_indices=(2,),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=4,
            in_channels=64,
            loss=dict(type='CrossEntropyLoss'),
        ),
    ),
    cqmix=dict(type='sr4ir_mm.CQMix', grid=4),
    scale=_base_.scale,
    phases=_base_.phases,
)
