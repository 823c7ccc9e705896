# Toy scenes (`python -m sr4ir_mm.datasets.toy_scenes`), segmentation.
_base_ = './voc_seg.py'

data_root = 'data/toy_scenes'
metainfo = dict(
    classes=('background', 'horizontal', 'vertical', 'diagonal', 'checker'),
    palette=[
        [0, 0, 0],
        [230, 85, 70],
        [50, 130, 230],
        [245, 190, 40],
        [60, 180, 100],
    ],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(64, 64)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator + [
    dict(type='sr4ir_mm.SRLPIPS', required=False)
]
