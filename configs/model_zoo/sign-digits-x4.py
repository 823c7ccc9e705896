# model_zoo/sign-digits-x4: hand signs for digits from 24x24 pixels.
_base_ = [
    '../_base_/datasets/sign_digits.py',
    '../_base_/models/lite0.py',
    '../_base_/schedules/small_1000it.py',
    '../_base_/sr_nets/edsr_small_x4.py',
    '../_base_/recipes/one_batch.py',
]

phases = _base_.recipe.phases
phases[1].begin = 0.2  # S learns alone at first
model = dict(
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=phases,
    task_model=dict(
        head=dict(num_classes=_base_.data_preprocessor.num_classes)
    ),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_evaluator = _base_.val_evaluator
