_base_ = [
    './sr4ir_lite0-from-hr_cars28_x8.py',
    './_base_/degradations/mixture_a.py',
]

model = dict(
    degradation=_base_.degradation,
    sr_net=dict(
        init_cfg=dict(
            checkpoint='checkpoints/edsr-small_cars28-mixture-a_x8.pth'
        )
    ),
)
