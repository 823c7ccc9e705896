# ResNet18 as torchvision has it: 11,176,512 parameters and the last layer.
model = dict(
    type='sr4ir_mm.SRClassifier',
    cqmix=dict(type='sr4ir_mm.CQMix', grid=4),
    task_model=dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet',
            depth=18,
            init_cfg=dict(
                type='Pretrained', checkpoint='torchvision://resnet18'
            ),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            in_channels=512,
            loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
            init_cfg=[],  # PyTorch's own, not mmpretrain's
        ),
    ),
)
