# model_zoo/bccd-x8: blood cells from JPEG images of 80x60 pixels.
_base_ = [
    '../_base_/datasets/bccd.py',
    '../_base_/models/fcos_lite0.py',
    '../_base_/schedules/small_1000it.py',
    '../_base_/sr_nets/edsr_small_x8.py',
    '../_base_/recipes/one_batch.py',
    '../_base_/degradations/mixture_a.py',
]

phases = _base_.recipe.phases
phases[1].begin = 0.2  # S learns alone at first
model = dict(
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=phases,
    degradation=_base_.degradation,
    task_model=dict(bbox_head=dict(num_classes=3)),
)
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='RandomCrop', crop_size=(192, 192)))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_evaluator = _base_.val_evaluator
