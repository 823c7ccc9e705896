# SR4IR detection on toy scenes: `bash tools/demo.sh det`.
_base_ = [
    '../_base_/datasets/toy_scenes_det.py',
    '../_base_/schedules/toy_800it.py',
    '../_base_/sr_nets/edsr_toy_x4.py',
    '../_base_/recipes/sr4ir.py',
]

model = dict(
    type='sr4ir_mm.SRDetector',
    backbone=dict(type='ResNet'),  # for mmdet's init_detector
    sr_net=_base_.sr_net,
    task_model=dict(
        type='FCOS',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_size_divisor=16,
        ),
        backbone=dict(
            type='ResNet',
            depth=18,
            deep_stem=False,
            base_channels=16,
            stem_channels=16,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(1, 2),
            norm_eval=False,
        ),
        neck=dict(
            type='FPN', in_channels=[32, 64], out_channels=32, num_outs=2
        ),
        bbox_head=dict(
            type='FCOSHead',
            num_classes=4,
            in_channels=32,
            feat_channels=32,
            stacked_convs=1,
            strides=[8, 16],
            regress_ranges=((-1, 24), (24, 1e8)),
            center_sampling=True,
            norm_on_bbox=True,
            centerness_on_reg=True,
            conv_bias=True,
            loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        ),
        test_cfg=dict(
            nms_pre=100,
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=20,
        ),
    ),
    scale=_base_.scale,
    phases=_base_.phases,
)
