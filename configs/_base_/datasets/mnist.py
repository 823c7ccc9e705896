# MNIST as in SR2: 28x28 pixels, 80% of the training images for training and
# 20% for validation. data/mnist holds mnist.npz or the four IDX files.
default_scope = 'mmpretrain'
visualizer = dict(
    type='UniversalVisualizer',
    name='visualizer',
    vis_backends=[dict(type='LocalVisBackend')],
)

dataset_type = 'sr4ir_mm.MNIST'
data_root = 'data/mnist'
# One transform, so that the image is interpolated once: rotation by up to 10
# degrees, shifts by up to 3 whole pixels; black comes in at the edges.
max_shift = 3 / 28
train_pipeline = [
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='torchvision/RandomAffine',
        degrees=10,
        translate=(max_shift, max_shift),
        interpolation='bilinear',
    ),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]
# The paper does not give its batch size.
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        indices=48000,  # the first ones
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        indices=-12000,  # the last ones
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
    ),
)

val_evaluator = [
    dict(type='Accuracy', topk=(1,)),
    dict(type='sr4ir_mm.SRPSNR', crop_border=0),
    dict(type='sr4ir_mm.SRSSIM', crop_border=0),
]
test_evaluator = val_evaluator
