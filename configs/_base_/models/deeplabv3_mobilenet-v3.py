# DeepLabV3 on MobileNetV3-Large as torchvision has it, output stride 16:
# 11,029,328 parameters at 21 classes.
num_classes = 21
head_norm_cfg = dict(type='BN')
loss_decode = dict(
    type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True
)
model = dict(
    type='sr4ir_mm.SRSegmentor',
    decode_head=dict(type='sr4ir_mm.DeepLabV3Head'),  # for mmseg's get_flops
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
            type='sr4ir_mm.TorchvisionMobileNetV3',
            out_indices=(4, 16),
            dilated=True,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='torchvision://mobilenet_v3_large',
            ),
        ),
        decode_head=dict(
            type='sr4ir_mm.DeepLabV3Head',
            in_channels=960,
            in_index=1,
            channels=256,
            dilations=(1, 12, 24, 36),
            num_classes=num_classes,
            norm_cfg=head_norm_cfg,
            align_corners=False,
            loss_decode=loss_decode,
        ),
        auxiliary_head=dict(
            type='sr4ir_mm.TorchvisionFCNHead',
            in_channels=40,
            in_index=0,
            channels=10,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.1,
            num_classes=num_classes,
            norm_cfg=head_norm_cfg,
            align_corners=False,
            loss_decode=dict(loss_weight=0.5, **loss_decode),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
)
