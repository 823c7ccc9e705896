# CUB-200-2011 as in the paper: 200 birds, 5994 / 5794 images for training /
# test, short side 256. `tools/dataset_converters/cub.py` unpacks and checks
# it.
default_scope = 'mmpretrain'
visualizer = dict(
    type='UniversalVisualizer',
    name='visualizer',
    vis_backends=[dict(type='LocalVisBackend')],
)

dataset_type = 'CUB'
data_root = 'data/CUB_200_2011'
data_preprocessor = dict(
    type='ClsDataPreprocessor',
    num_classes=200,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
resize = dict(type='ResizeEdge', scale=256, edge='short', backend='pillow')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
# 8 GPUs x 16 = the paper's batch of 128
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='Accuracy', topk=1),
    dict(type='sr4ir_mm.SRPSNR'),
    dict(type='sr4ir_mm.SRSSIM'),
]
test_evaluator = val_evaluator + [dict(type='sr4ir_mm.SRLPIPS')]
