_base_ = [
    './sr4ir_deeplabv3-lite0-from-hr_camvid-half_x8.py',
    './_base_/degradations/mixture_a.py',
]

model = dict(
    degradation=_base_.degradation,
    sr_net=dict(
        init_cfg=dict(
            checkpoint='checkpoints/edsr-small_camvid-half-mixture-a_x8.pth'
        )
    ),
)
