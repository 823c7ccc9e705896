# Real-ESRGAN's two stages (Wang et al., ICCVW 2021) with the ranges of NOLA-IR
# (2026), each image by itself. LR is brought to 1/scale of HR's size; that of
# NOLA-IR is of scale 1, Real-ESRGAN's of 4.
_kernels = dict(
    iso=0.405,
    aniso=0.225,
    generalized_iso=0.108,
    generalized_aniso=0.027,
    plateau_iso=0.108,
    plateau_aniso=0.027,
    sinc=0.1,
)
_modes = ['area', 'bilinear', 'bicubic']
_back = [
    dict(type='sr4ir_mm.Resize', modes=_modes),
    dict(
        type='sr4ir_mm.RandomChoice',
        choices=[
            dict(
                type='sr4ir_mm.RandomBlur',
                kernels=dict(sinc=1),
                cutoff=(1.0472, 3.1415),  # pi / 3 to pi
            ),
            [],
        ],
        prob=[0.8, 0.2],
    ),
]
_jpeg = dict(type='sr4ir_mm.JPEG', quality=(30, 95))

degradation = [
    dict(type='sr4ir_mm.RandomBlur', kernels=_kernels, std=(0.2, 3)),
    dict(type='sr4ir_mm.Resize', factor=(0.15, 1), modes=_modes),
    dict(
        type='sr4ir_mm.RandomChoice',
        choices=[
            dict(type='sr4ir_mm.GaussianNoise', std=(1, 30), grey=0.4),
            dict(type='sr4ir_mm.PoissonNoise', strength=(0.05, 3), grey=0.4),
        ],
    ),
    _jpeg,
    # the second stage is of a quarter of HR's size
    dict(
        type='sr4ir_mm.RandomChoice',
        choices=[
            dict(type='sr4ir_mm.RandomBlur', kernels=_kernels, std=(0.2, 1.5)),
            [],
        ],
        prob=[0.8, 0.2],
    ),
    dict(type='sr4ir_mm.Resize', factor=(0.05, 0.25), modes=_modes),
    dict(
        type='sr4ir_mm.RandomChoice',
        choices=[
            dict(type='sr4ir_mm.GaussianNoise', std=(1, 25), grey=0.4),
            dict(type='sr4ir_mm.PoissonNoise', strength=(0.05, 2.5), grey=0.4),
        ],
    ),
    dict(
        type='sr4ir_mm.RandomChoice',
        choices=[[_jpeg, *_back], [*_back, _jpeg]],
    ),
]
