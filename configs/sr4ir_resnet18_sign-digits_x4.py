# The paper's classifier on hand signs for digits, on one GPU.
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/sign_digits.py',
    './_base_/models/resnet18.py',
    './_base_/schedules/cls_200e.py',
    './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases,
    task_model=dict(
        head=dict(num_classes=_base_.data_preprocessor.num_classes)
    ),
)
optim_wrapper = dict(
    sr_net=_base_.sr_optim_wrapper,
    task_model=dict(optimizer=dict(lr=0.03 / 4)),
)
auto_scale_lr = dict(base_batch_size=32)
