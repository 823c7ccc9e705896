# Toy scenes (`python -m sr4ir_mm.datasets.toy_scenes`), detection.
_base_ = './voc_det.py'

data_root = 'data/toy_scenes'
metainfo = dict(
    classes=('horizontal', 'vertical', 'diagonal', 'checker'),
    palette=[
        (230, 85, 70),
        (50, 130, 230),
        (245, 190, 40),
        (60, 180, 100),
    ],
)
dataset = dict(data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='InfiniteSampler'),
    dataset=dataset,
)
val_dataloader = dict(num_workers=1, dataset=dataset)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator + [
    dict(type='sr4ir_mm.SRLPIPS', required=False)
]
