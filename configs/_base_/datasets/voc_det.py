# PASCAL VOC 2012 detection as in the paper: 5717 / 5823 images for training /
# validation at their own size. A detector that enlarges them does so behind
# the SR network, never here.
default_scope = 'mmdet'
visualizer = dict(
    type='DetLocalVisualizer',
    name='visualizer',
    vis_backends=[dict(type='LocalVisBackend')],
)

dataset_type = 'VOCDataset'
data_root = 'data/VOCdevkit/VOC2012'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='sr4ir_mm.VOCBoxesAsCOCO'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='sr4ir_mm.VOCBoxesAsCOCO'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        # CocoMetric reads the ground truth from `instances`
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'instances',
        ),
    ),
]
# 8 GPUs x 2 = the paper's batch of 16
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler', drop_last=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(sub_data_root=''),
        ann_file='ImageSets/Main/train.txt',
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
        data_prefix=dict(sub_data_root=''),
        ann_file='ImageSets/Main/val.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='CocoMetric', metric='bbox'),
    dict(type='sr4ir_mm.SRPSNR'),
    dict(type='sr4ir_mm.SRSSIM'),
]
test_evaluator = val_evaluator + [dict(type='sr4ir_mm.SRLPIPS')]
