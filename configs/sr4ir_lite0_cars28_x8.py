# A part of Stanford Cars on two CPU cores: small networks, small images, 200
# iterations.
_base_ = [
    './_base_/datasets/cars28.py',
    './_base_/models/lite0.py',
    './_base_/schedules/small_200it.py',
    './_base_/sr_nets/edsr_small_x8.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(
    sr_net=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/edsr-small_cars28_x8.pth',
            prefix='sr_net.',
        ),
        **_base_.sr_net,
    ),
    scale=_base_.scale,
    phases=_base_.phases,
    task_model=dict(
        head=dict(num_classes=_base_.data_preprocessor.num_classes)
    ),
)
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_evaluator = [*_base_.val_evaluator, _base_.lpips]
