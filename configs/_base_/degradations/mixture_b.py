# Mixture-B (EDTR, ICCV 2025): CodeFormer's chain, each image by itself. LR is
# brought to 1/scale of HR's size; the authors' own is of scale 1.
degradation = [
    dict(
        type='sr4ir_mm.RandomBlur',
        kernels=dict(iso=0.5, aniso=0.5),
        size=(41, 41),
        std=(0.1, 8),
    ),
    dict(type='sr4ir_mm.Resize', down=(1, 16), modes=['bilinear']),
    dict(type='sr4ir_mm.GaussianNoise', std=(0, 10)),
    dict(type='sr4ir_mm.JPEG', quality=(50, 100)),
    dict(type='sr4ir_mm.Resize', modes=['bilinear']),
]
