# The flagship on CamVid, on one GPU: batch 4 and its learning rate.
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/camvid.py',
    './_base_/models/deeplabv3_mobilenet-v3.py',
    './_base_/schedules/seg_100e.py',
    './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases,
    task_model=dict(
        decode_head=dict(num_classes=11), auxiliary_head=dict(num_classes=11)
    ),
)
optim_wrapper = dict(
    sr_net=_base_.sr_optim_wrapper, task_model=dict(optimizer=dict(lr=0.005))
)
auto_scale_lr = dict(base_batch_size=4)
