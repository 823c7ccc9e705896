# SR4IR segmentation on toy scenes: `bash tools/demo.sh`.
_base_ = [
    '../_base_/datasets/toy_scenes_seg.py',
    '../_base_/schedules/toy_800it.py',
    '../_base_/sr_nets/edsr_toy_x4.py',
    '../_base_/recipes/sr4ir.py',
]

# Nothing is pre-trained here: at first, each network learns from HR images by
# itself. Otherwise, whether the task network ever tells some of the textures
# apart depends on the seed.
phases = _base_.phases
alone = 0.45
phases[0].losses[1].begin = alone
phases[1].losses[0].begin = alone
phases[1].losses.append(
    dict(type='sr4ir_mm.TaskLoss', views=dict(hr=1.0), end=alone)
)
model = dict(
    type='sr4ir_mm.SRSegmentor',
    decode_head=dict(type='FCNHead'),  # for mmseg's get_flops
    sr_net=_base_.sr_net,
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
    scale=_base_.scale,
    phases=phases,
)
# With the 4e-3 of the other two, some seeds never tell two textures apart.
optim_wrapper = dict(task_model=dict(optimizer=dict(lr=3e-3)))
