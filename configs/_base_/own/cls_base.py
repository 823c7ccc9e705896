# The paper's classifier, without its SR network: for `wrap`.
_base_ = ['./schedule.py', '../models/resnet18.py']

default_scope = 'mmpretrain'
model = dict(_delete_=True, **_base_.model.task_model)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4),
)
auto_scale_lr = dict(base_batch_size=128)
