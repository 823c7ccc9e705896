# CamVid at half its size, on two CPU cores: small networks, 200 iterations.
_base_ = [
    './_base_/datasets/camvid_half.py',
    './_base_/models/deeplabv3_lite0.py',
    './_base_/schedules/small_200it.py',
    './_base_/sr_nets/edsr_small_x4.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(
    sr_net=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/edsr-small_camvid-half_x4.pth',
            prefix='sr_net.',
        ),
        **_base_.sr_net,
    ),
    scale=_base_.scale,
    phases=_base_.phases,
    task_model=dict(decode_head=dict(num_classes=11)),
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_evaluator = [*_base_.val_evaluator, _base_.lpips]
