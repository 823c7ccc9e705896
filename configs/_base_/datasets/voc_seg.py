# PASCAL VOC 2012 segmentation as in the paper: 1464 training images (not the
# augmented set), short side 520, evaluated at that size.
default_scope = 'mmseg'
visualizer = dict(
    type='SegLocalVisualizer',
    name='visualizer',
    alpha=0.6,
    vis_backends=[dict(type='LocalVisBackend')],
)

dataset_type = 'PascalVOCDataset'
data_root = 'data/VOCdevkit/VOC2012'
resize = dict(
    type='Resize',
    scale=(100000, 520),  # the short side; the long one follows
    keep_ratio=True,
    backend='pillow',
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    resize,
    dict(type='RandomCrop', crop_size=(480, 480)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    resize,
    dict(type='sr4ir_mm.EvaluateAtInputSize'),
    dict(type='PackSegInputs'),
]
# 8 GPUs x 2 = the paper's batch of 16
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='IoUMetric', iou_metrics=['mIoU']),
    dict(type='sr4ir_mm.SRPSNR'),
    dict(type='sr4ir_mm.SRSSIM'),
]
test_evaluator = val_evaluator + [dict(type='sr4ir_mm.SRLPIPS')]
