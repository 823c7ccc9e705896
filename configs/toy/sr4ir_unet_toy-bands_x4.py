# As sr4ir_unet_toy_x4.py, of four bands and 16 bits: red, green, blue and near
# infrared, without which two of the textures look alike. Its data:
# python -m sr4ir_mm.datasets.toy_scenes data/toy_bands --bands 4 --bits 16
_base_ = './sr4ir_unet_toy_x4.py'

data_root = 'data/toy_bands'
load = dict(type='sr4ir_mm.LoadRasterFromFile')
train = dict(
    dataset=dict(
        data_root=data_root,
        img_suffix='.tif',
        pipeline=[load, *_base_.train_pipeline[1:]],
    )
)
test = dict(
    dataset=dict(
        data_root=data_root,
        img_suffix='.tif',
        pipeline=[load, *_base_.test_pipeline[1:]],
    )
)
train_dataloader = train
val_dataloader = test
test_dataloader = test
model = dict(
    bands=dict(number=4, range=65535),
    task_model=dict(
        data_preprocessor=dict(mean=None, std=None, bgr_to_rgb=False)
    ),
)
