# Any model of mmpretrain's zoo: a Swin transformer, its data (with its
# Mixup and CutMix) and its schedule unchanged.
_base_ = [
    './_base_/plugin.py',
    'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
    './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(
    _delete_=True,
    type='sr4ir_mm.SRClassifier',
    task_model=_base_.model,
    cqmix=dict(type='sr4ir_mm.CQMix', grid=4),
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases,
)
optim_wrapper = dict(
    _delete_=True,
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    # without its own rate of the biases, which is below this schedule's end
    sr_net=dict(optimizer=_base_.sr_optim_wrapper.optimizer),
    task_model=_base_.optim_wrapper,
)
train_cfg = dict(
    _delete_=True,  # `by_epoch`, which says what `type` says
    type='sr4ir_mm.AlternatingEpochTrainLoop',
    max_epochs=_base_.train_cfg.max_epochs,
    val_interval=_base_.train_cfg.val_interval,
)
default_hooks = dict(visualization=dict(type='sr4ir_mm.SRVisualizationHook'))
val_evaluator = [_base_.val_evaluator, dict(type='sr4ir_mm.SRPSNR')]
test_evaluator = val_evaluator
