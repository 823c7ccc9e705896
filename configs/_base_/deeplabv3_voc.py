# DeepLabV3 on PASCAL VOC 2012 with the paper's schedule, for any recipe.
_base_ = [
    './default_runtime.py', './datasets/voc_seg.py',
    './task_models/deeplabv3_mobilenet-v3.py'
]

max_epochs = 100
tdp_begin = 10  # the learning rates restart where TDP sets in
train_cfg = dict(
    type='sr4ir_mm.AlternatingEpochTrainLoop',
    max_epochs=max_epochs,
    val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

sync_bn = 'torch'
auto_scale_lr = dict(enable=False, base_batch_size=16)
task_optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-6),
    paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.))))
cosine = dict(
    type='CosineRestartLR',
    periods=[tdp_begin, max_epochs - tdp_begin],
    restart_weights=[1, 1],
    begin=0,
    end=max_epochs,
    by_epoch=True,
    convert_to_iter_based=True)
param_scheduler = dict(
    sr_net=dict(eta_min=1e-6, **cosine),
    task_model=dict(eta_min=1e-4, **cosine))
