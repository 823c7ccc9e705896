# torchvision's fasterrcnn_mobilenet_v3_large_fpn (not the 320 one), down to
# its losses and detections: 19,023,504 parameters at 20 classes, of which
# 18,964,608 are trained. It has 4,100 more, which regress a background box.
num_classes = 20

box_coder = dict(
    type='DeltaXYWHBBoxCoder',
    # This clamp of the centre is out of reach, but with it, as in
    # torchvision, boxes are not kept from shrinking.
    add_ctr_clamp=True,
    ctr_clamp=1000000,
)
smooth_l1 = dict(type='SmoothL1Loss', beta=1 / 9)
rpn_nms = dict(type='nms', iou_threshold=0.7, score_threshold=0.05)

detector = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='sr4ir_mm.TorchvisionMobileNetV3',
        out_indices=(13, 16),
        frozen_stages=6,
        frozen_norm=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='torchvision://mobilenet_v3_large'
        ),
    ),
    neck=dict(
        type='FPN',
        in_channels=[160, 960],
        out_channels=256,
        num_outs=3,
        init_cfg=dict(type='Caffe2Xavier', layer='Conv2d'),
    ),
    rpn_head=dict(
        type='RPNHead',
        in_channels=256,
        anchor_generator=dict(
            type='sr4ir_mm.TorchvisionAnchorGenerator',
            strides=[32, 32, 64],
            base_sizes=[1, 1, 1],
            scales=[32, 64, 128, 256, 512],
            ratios=[0.5, 1.0, 2.0],
        ),
        bbox_coder=box_coder,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=smooth_l1,
    ),
    roi_head=dict(
        type='StandardRoIHead',
        # Both maps have stride 32: torchvision sends every RoI to the first.
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(
                type='RoIAlign',
                output_size=7,
                sampling_ratio=2,
                aligned=False,
                use_torchvision=True,
            ),
            out_channels=256,
            featmap_strides=[32],
        ),
        bbox_head=dict(
            type='sr4ir_mm.TorchvisionBBoxHead',
            in_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=num_classes,
            bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2], **box_coder),
            loss_cls=dict(type='CrossEntropyLoss'),
            loss_bbox=smooth_l1,
            init_cfg=[],  # PyTorch's own, not mmdet's
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='sr4ir_mm.TorchvisionAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.0,
                match_low_quality=True,
            ),
            sampler=dict(
                type='RandomSampler',
                num=256,
                pos_fraction=0.5,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
        ),
        rpn_proposal=dict(
            nms_pre=2000, max_per_img=2000, nms=rpn_nms, min_bbox_size=1e-3
        ),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
            ),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25),
            pos_weight=-1,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=1000, max_per_img=1000, nms=rpn_nms, min_bbox_size=1e-3
        ),
        rcnn=dict(
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=100,
        ),
    ),
)

model = dict(
    type='sr4ir_mm.SRDetector',
    backbone=dict(type='sr4ir_mm.TorchvisionMobileNetV3'),  # for mmdet's APIs
    resize=(1333, 800),
    task_model=detector,
)
