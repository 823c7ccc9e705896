# Any model of mmseg's zoo: SegFormer-B0, its data and its schedule unchanged.
_base_ = [
    './_base_/plugin.py',
    'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
    './_base_/sr_nets/edsr_x4.py',
    './_base_/recipes/sr4ir.py',
]

model = dict(
    _delete_=True,
    type='sr4ir_mm.SRSegmentor',
    task_model=_base_.model,
    decode_head=_base_.model.decode_head,  # for mmseg's get_flops
    sr_net=_base_.sr_net,
    scale=_base_.scale,
    phases=_base_.phases,
)
# HR is what the test pipeline makes of an image, at one size
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [t for t in _base_.test_pipeline if t.type == 'Resize'],
            *_base_.tta_pipeline[1].transforms[1:],
        ],
    ),
]
optim_wrapper = dict(
    _delete_=True,
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    sr_net=_base_.sr_optim_wrapper,
    task_model=_base_.optim_wrapper,
)
train_cfg = dict(type='sr4ir_mm.AlternatingIterTrainLoop')
default_hooks = dict(visualization=dict(type='sr4ir_mm.SRVisualizationHook'))
val_evaluator = [_base_.val_evaluator, dict(type='sr4ir_mm.SRPSNR')]
test_evaluator = val_evaluator
