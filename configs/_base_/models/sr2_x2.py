# SR2 around a classifier, for 28x28 or 32x32 pixels. "Gaussian blur and
# subsequent downsampling" is all that the paper says: here a point spread of
# 0.4 LR pixels, and bicubic without antialiasing, which leaves the low-pass
# to the blur. Test images alone get noise; its level is set on evaluation.
_base_ = './sr2_resnet18.py'

scale = 2
noise = dict(type='sr4ir_mm.GaussianNoise', std=0, train_std=(0, 0))
model = dict(
    type='sr4ir_mm.SRClassifier',
    scale=scale,
    view='shared',
    task_model=_base_.classifier,
    degradation=[
        dict(type='sr4ir_mm.GaussianBlur', std=0.4 * scale),
        dict(type='sr4ir_mm.Bicubic'),
        noise,
    ],
)
