# BCCD, blood cells, 3 classes, 640x480: 205 / 87 / 72 images for train / val /
# test in data/bccd, laid out as VOC.
_base_ = './voc_det.py'

data_root = 'data/bccd'
metainfo = dict(
    classes=('RBC', 'WBC', 'Platelets'),
    palette=[(230, 85, 70), (50, 130, 230), (245, 190, 40)],
)
dataset = dict(data_root=data_root, metainfo=metainfo)
train_dataloader = dict(batch_size=4, num_workers=2, dataset=dataset)
val_dataloader = dict(num_workers=2, dataset=dataset)
test_dataloader = dict(
    num_workers=2,
    dataset=dict(ann_file='ImageSets/Main/test.txt', **dataset),
)
