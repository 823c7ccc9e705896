# Fashion-MNIST, 10 kinds of clothes, 28x28: 48,000 / 12,000 / 10,000 images
# for training / validation / test. data/fashion-mnist holds the four IDX
# files, as Debian's package dataset-fashion-mnist does.
_base_ = './mnist.py'

data_root = 'data/fashion-mnist'
metainfo = dict(
    classes=(
        'T-shirt/top',
        'trouser',
        'pullover',
        'dress',
        'coat',
        'sandal',
        'shirt',
        'sneaker',
        'bag',
        'ankle boot',
    )
)
train_pipeline = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
dataset = dict(data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
