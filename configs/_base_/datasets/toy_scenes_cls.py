# Toy scenes (`python -m sr4ir_mm.datasets.toy_scenes`), classification: single
# objects, 64x64.
_base_ = './cub.py'

data_root = 'data/toy_scenes'
data_preprocessor = dict(num_classes=4)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        data_prefix='Classification/train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        data_prefix='Classification/val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator + [
    dict(type='sr4ir_mm.SRLPIPS', required=False)
]
