# Fashion-MNIST on two CPU cores. The classifier of SR2 with 16 channels starts
# from random weights: TDP's features have none but what they learn here.
_base_ = [
    './_base_/datasets/fashion_mnist.py',
    './_base_/models/sr2_resnet18.py',
    './_base_/schedules/small_200it.py',
    './_base_/sr_nets/edsr_small_x4.py',
    './_base_/recipes/sr4ir.py',
]

classifier = _base_.classifier
classifier.backbone.update(base_channels=16, stem_channels=16)
classifier.head.update(in_channels=64)
model = dict(
    type='sr4ir_mm.SRClassifier',
    sr_net=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/edsr-small_fashion-mnist_x4.pth',
            prefix='sr_net.',
        ),
        **_base_.sr_net,
    ),
    task_model=classifier,
    scale=_base_.scale,
    cqmix=dict(type='sr4ir_mm.CQMix', grid=4),
    phases=_base_.phases,
)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
