# The paper's detector on blood cells, on one GPU: batch 4 and its learning
# rate.
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/bccd.py',
    './_base_/models/faster-rcnn_mobilenet-v3.py',
    './_base_/schedules/det_30e.py',
    './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir_faster-rcnn.py',
]

model = dict(
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases,
    task_model=dict(roi_head=dict(bbox_head=dict(num_classes=3))),
)
optim_wrapper = dict(
    sr_net=_base_.sr_optim_wrapper, task_model=dict(optimizer=dict(lr=0.005))
)
auto_scale_lr = dict(base_batch_size=4)
