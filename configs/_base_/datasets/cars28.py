# 28 of Stanford Cars' classes, short side 108, crops of 96: 682 / 167 / 286
# images for training / validation / test, in one folder per class.
# `tools/dataset_converters/cars_by_class.py` makes it.
_base_ = './sign_digits.py'

data_root = 'data/cars28'
data_preprocessor = dict(num_classes=28)
dataset = dict(data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(data_prefix='val', **dataset))
test_dataloader = dict(dataset=dict(data_prefix='test', **dataset))
