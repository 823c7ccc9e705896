_base_ = [
    './_base_/deeplabv3_voc.py', './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir.py'
]

model = dict(
    type='sr4ir_mm.SRSegmentor',
    task_model=_base_.task_model,
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases)
optim_wrapper = dict(
    constructor='mmagic.MultiOptimWrapperConstructor',
    sr_net=_base_.sr_optim_wrapper,
    task_model=_base_.task_optim_wrapper)
