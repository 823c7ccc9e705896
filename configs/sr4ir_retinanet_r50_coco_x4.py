# Any model of mmdet's zoo: RetinaNet, its data and its schedule unchanged.
#
# HR is the image at its native size: the resizing of its pipelines happens
# behind the SR network instead.
_base_ = [
    './_base_/plugin.py',
    'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir_fpn.py',
]

model = dict(
    _delete_=True,
    type='sr4ir_mm.SRDetector',
    task_model=_base_.model,
    backbone=_base_.model.backbone,  # for mmdet's init_detector
    resize=(1333, 800),
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases,
)
train_pipeline = [t for t in _base_.train_pipeline if t.type != 'Resize']
test_pipeline = [t for t in _base_.test_pipeline if t.type != 'Resize']
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            options
            for options in _base_.tta_pipeline[1].transforms
            if options[0].type != 'Resize'
        ],
    ),
]
# at their native size, images and boxes may be small
train_dataloader = dict(
    dataset=dict(
        pipeline=train_pipeline,
        filter_cfg=dict(_delete_=True, filter_empty_gt=True),
    )
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    _delete_=True,
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    sr_net=_base_.sr_optim_wrapper,
    task_model=_base_.optim_wrapper,
)
train_cfg = dict(type='sr4ir_mm.AlternatingEpochTrainLoop')
default_hooks = dict(visualization=dict(type='sr4ir_mm.SRVisualizationHook'))
val_evaluator = [_base_.val_evaluator, dict(type='sr4ir_mm.SRPSNR')]
test_evaluator = val_evaluator
