# SVHN as in SR2: cropped digits of 32x32 pixels; the training images and
# 126,743 of the extra ones, of each 80% for training and 20% for validation.
# The paper does not say which of the extra ones: the first 101,394 and the
# last 25,349 here. data/svhn holds svhn.npz or {train,test,extra}_32x32.mat;
# reading the extra ones takes about 4 GB of memory.
_base_ = './mnist.py'

dataset_type = 'sr4ir_mm.SVHN'
data_root = 'data/svhn'
max_shift = 3 / 32
train_pipeline = _base_.train_pipeline
train_pipeline[1].translate = (max_shift, max_shift)
test_pipeline = _base_.test_pipeline
dataset = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                split='train',
                indices=58606,
                pipeline=train_pipeline,
                **dataset,
            ),
            dict(
                split='extra',
                indices=101394,
                pipeline=train_pipeline,
                **dataset,
            ),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                split='train',
                indices=-14651,
                pipeline=test_pipeline,
                **dataset,
            ),
            dict(
                split='extra',
                indices=-25349,
                pipeline=test_pipeline,
                **dataset,
            ),
        ],
    )
)
test_dataloader = dict(dataset=dataset)
