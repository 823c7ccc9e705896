_base_ = [
    './sr-start_deeplabv3-lite0_camvid-half_x8.py',
    '../_base_/degradations/real_esrgan.py',
]

model = dict(degradation=_base_.degradation)
