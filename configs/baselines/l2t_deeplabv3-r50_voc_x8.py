# Table S3: L -> T with the larger backbone.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/voc_seg.py',
    '../_base_/models/deeplabv3_resnet50.py',
    '../_base_/schedules/seg_100e.py',
    '../_base_/recipes/l2t.py',
]

model = dict(scale=8, **_base_.recipe)
param_scheduler = _base_.one_period
