# Mixture-A (EDTR, ICCV 2025): x8, then JPEG 75. LR is brought to 1/scale of
# HR's size: of model.scale 8 it stays as it is, of 1 it is as the authors'.
degradation = [
    dict(type='sr4ir_mm.Resize', down=8),
    dict(type='sr4ir_mm.JPEG', quality=75),
    dict(type='sr4ir_mm.Resize'),
]
