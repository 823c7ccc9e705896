# SR4IR on toy scenes with networks that a laptop trains in minutes: the
# README's demo.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/toy_scenes_seg.py',
    '../_base_/recipes/sr4ir.py',
]

scale = 4
model = dict(
    type='sr4ir_mm.SRSegmentor',
    decode_head=dict(type='FCNHead'),  # for mmseg's get_flops
    sr_net=dict(
        type='mmagic.EDSRNet',
        in_channels=3,
        out_channels=3,
        mid_channels=16,
        num_blocks=4,
        upscale_factor=scale,
    ),
    task_model=dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            size_divisor=1,
            pad_val=0,
            seg_pad_val=255,
        ),
        backbone=dict(
            type='UNet',
            base_channels=32,
            num_stages=2,
            strides=(2, 1),
            enc_num_convs=(2, 2),
            dec_num_convs=(1,),
            downsamples=(True,),
            enc_dilations=(1, 1),
            dec_dilations=(1,),
            norm_cfg=dict(type='BN'),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=32,
            in_index=-1,
            channels=32,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0,
            num_classes=5,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    scale=scale,
    phases=_base_.phases,
)

max_iters = 800
train_cfg = dict(
    type='sr4ir_mm.AlternatingIterTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    constructor='mmagic.MultiOptimWrapperConstructor',
    sr_net=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3)),
    task_model=dict(
        type='OptimWrapper', optimizer=dict(type='AdamW', lr=4e-3)
    ),
)
warmup = dict(type='LinearLR', start_factor=0.1, end=100, by_epoch=False)
cosine = dict(
    type='CosineAnnealingLR',
    begin=100,
    T_max=max_iters - 100,
    end=max_iters,
    eta_min=1e-5,
    by_epoch=False,
)
warmup_2nd = dict(warmup, begin=max_iters, end=max_iters + 100)
cosine_2nd = dict(cosine, begin=max_iters + 100, end=2 * max_iters)
one_period = dict(sr_net=[warmup, cosine], task_model=[warmup, cosine])
param_scheduler = one_period
# for recipes that train one network after the other
two_stages = dict(max_iters=2 * max_iters)
sr_then_task = dict(
    sr_net=[warmup, cosine], task_model=[warmup_2nd, cosine_2nd]
)
task_then_sr = dict(
    sr_net=[warmup_2nd, cosine_2nd], task_model=[warmup, cosine]
)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=200),
    visualization=dict(draw=True, interval=10),
)
log_processor = dict(by_epoch=False)
