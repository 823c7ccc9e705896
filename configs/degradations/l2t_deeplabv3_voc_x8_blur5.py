# Table S5: Gaussian blur before bicubic downsampling.
_base_ = '../baselines/l2t_deeplabv3_voc_x8.py'

model = dict(
    degradation=[
        dict(type='sr4ir_mm.GaussianBlur', std=5.0),  # in HR pixels
        dict(type='sr4ir_mm.Bicubic'),
    ],
)
