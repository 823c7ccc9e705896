# Blood cells on two CPU cores: small networks, crops of 192, 200 iterations.
_base_ = [
    './_base_/datasets/bccd.py',
    './_base_/models/fcos_lite0.py',
    './_base_/schedules/small_200it.py',
    './_base_/sr_nets/edsr_small_x8.py',
    './_base_/recipes/sr4ir_fpn.py',
]

model = dict(
    sr_net=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/edsr-small_bccd_x8.pth',
            prefix='sr_net.',
        ),
        **_base_.sr_net,
    ),
    scale=_base_.scale,
    phases=_base_.phases,
    task_model=dict(bbox_head=dict(num_classes=3)),
)
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='RandomCrop', crop_size=(192, 192)))
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_evaluator = [*_base_.val_evaluator, _base_.lpips]
