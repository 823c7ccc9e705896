_base_ = [
    './sr-start_fcos-lite0_bccd_x8.py',
    '../_base_/degradations/mixture_b.py',
]

model = dict(degradation=_base_.degradation)
