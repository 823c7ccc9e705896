_base_ = [
    './sr-start_lite0_cars28_x8.py',
    '../_base_/degradations/real_esrgan.py',
]

model = dict(degradation=_base_.degradation)
