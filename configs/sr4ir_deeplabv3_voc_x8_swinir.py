_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/voc_seg.py',
    './_base_/models/deeplabv3_mobilenet-v3.py',
    './_base_/schedules/seg_100e.py',
    './_base_/sr_nets/swinir_x8.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(sr_net=_base_.sr_net, scale=_base_.scale, phases=_base_.phases)
optim_wrapper = dict(sr_net=_base_.sr_optim_wrapper)
