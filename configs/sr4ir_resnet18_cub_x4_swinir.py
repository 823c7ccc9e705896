_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/cub.py',
    './_base_/models/resnet18.py',
    './_base_/schedules/cls_200e.py',
    './_base_/sr_nets/swinir_x4.py',
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
optim_wrapper = dict(sr_net=_base_.sr_optim_wrapper)
sync_bn = None  # the authors divide a batch of SwinIR among GPUs
