# Stanford Cars as in the paper: 196 cars, 8144 / 8041 images for training /
# test, short side 256. `tools/dataset_converters/stanford_cars.py` unpacks and
# checks it.
#
# The same images in one folder per class ("stanford-car-dataset-by-classes-
# folder" on Kaggle) need no script:
#
#     dataset=dict(
#         _delete_=True,
#         type='CustomDataset',
#         data_root='data/car_data',
#         data_prefix='train',  # 'test' in val_dataloader, test_dataloader
#         pipeline=_base_.train_pipeline,  # or test_pipeline
#     )
#
# Its classes are in alphabetical order, those of `StanfordCars` are not: a
# model trained on the one is not to be tested on the other.
_base_ = './cub.py'

data_root = 'data/stanford_cars'
data_preprocessor = dict(num_classes=196)
dataset = dict(type='StanfordCars', data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
