_base_ = [
    './sr4ir_lite0-from-hr_cars28_x8.py',
    './_base_/degradations/real_esrgan.py',
]

model = dict(
    degradation=_base_.degradation,
    sr_net=dict(
        init_cfg=dict(
            checkpoint='checkpoints/edsr-small_cars28-real-esrgan_x8.pth'
        )
    ),
)
