# The paper's segmentor, without its SR network: for `wrap`.
_base_ = ['./schedule.py', '../models/deeplabv3_mobilenet-v3.py']

default_scope = 'mmseg'
model = dict(_delete_=True, **_base_.model.task_model)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-6),
    paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.0))),
)
auto_scale_lr = dict(base_batch_size=16)
