_base_ = [
    './sr4ir_fcos-lite0-from-hr_bccd_x8.py',
    './_base_/degradations/mixture_b.py',
]

model = dict(
    degradation=_base_.degradation,
    sr_net=dict(
        init_cfg=dict(
            checkpoint='checkpoints/edsr-small_bccd-mixture-b_x8.pth'
        )
    ),
)
