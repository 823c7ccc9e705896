_base_ = './sr2_x2.py'

scale = 4
model = dict(
    scale=scale,
    degradation=[
        dict(type='sr4ir_mm.GaussianBlur', std=0.4 * scale),
        dict(type='sr4ir_mm.Bicubic'),
        _base_.noise,
    ],
)
