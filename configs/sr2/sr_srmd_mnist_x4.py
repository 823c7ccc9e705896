_base_ = './sr_fsrcnn_mnist_x4.py'

scale = _base_.scale
model = dict(
    view='sr',  # SRMD shares no layers
    sr_net=dict(type='sr4ir_mm.SRMD'),
    task_model=dict(backbone=dict(in_channels=3)),
    degradation=[  # in training, those of SRMD's paper
        dict(
            type='sr4ir_mm.GaussianBlur',
            std=0.4 * scale,
            train_std=(0.2, scale),
        ),
        dict(type='sr4ir_mm.Bicubic'),
        dict(_base_.noise, train_std=(0, 75)),
    ],
)
