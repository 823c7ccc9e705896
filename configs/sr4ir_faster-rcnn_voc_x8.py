_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/voc_det.py',
    './_base_/models/faster-rcnn_mobilenet-v3.py',
    './_base_/schedules/det_30e.py',
    './_base_/sr_nets/edsr_x8.py',
    './_base_/recipes/sr4ir_faster-rcnn.py',
]

model = dict(sr_net=_base_.sr_net, scale=_base_.scale, phases=_base_.phases)
optim_wrapper = dict(sr_net=_base_.sr_optim_wrapper)
