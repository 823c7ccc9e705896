"""Networks that train in milliseconds, and batches for them."""

import copy

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

SR_NET = dict(
    type='mmagic.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=4,
    num_blocks=1,
    upscale_factor=4,
)

SEGMENTOR = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size_divisor=1,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=4,
        stem_channels=4,
        num_stages=2,
        strides=(1, 1),
        dilations=(1, 1),
        out_indices=(0, 1),
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=8,
        in_index=-1,
        channels=4,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=5,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

TASK_LOSS = dict(
    type='sr4ir_mm.TaskLoss', views=dict(sr=0.34, hr=0.34, cqmix=0.34)
)
SR4IR = [
    dict(
        name='sr',
        trains='sr_net',
        losses=[
            dict(type='sr4ir_mm.PixelLoss'),
            dict(type='sr4ir_mm.TDPLoss', begin=0.1),
        ],
    ),
    dict(name='task', trains='task_model', losses=[TASK_LOSS]),
]
JOINT = [
    dict(
        name='joint',
        trains=['sr_net', 'task_model'],
        losses=[
            dict(type='sr4ir_mm.PixelLoss'),
            dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0)),
        ],
    ),
]


def segmentor_cfg(**kwargs):
    """Config of a tiny SRSegmentor; ``kwargs`` replace its arguments."""
    cfg = dict(
        type='sr4ir_mm.SRSegmentor',
        sr_net=SR_NET,
        task_model=SEGMENTOR,
        phases=SR4IR,
        cqmix=dict(type='sr4ir_mm.CQMix', grid=2),
    )
    cfg.update(kwargs)
    return ConfigDict(copy.deepcopy(cfg))


def build_segmentor(seed=0, **kwargs):
    from sr4ir_mm.registry import MODELS

    init_default_scope('mmseg')
    torch.manual_seed(seed)
    cfg = segmentor_cfg(**kwargs)
    cfg.pop('type')
    return MODELS.get('SRSegmentor')(**cfg)


def seg_batch(num=2, size=(32, 32), seed=0):
    """A batch as a data loader of mmseg gives it: uint8, BGR."""
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for i in range(num):
        inputs.append(
            torch.randint(
                0, 256, (3, *size), dtype=torch.uint8, generator=generator
            )
        )
        sample = SegDataSample(
            metainfo=dict(
                img_shape=size,
                ori_shape=size,
                pad_shape=size,
                img_path=f'{i}.jpg',
            )
        )
        sample.gt_sem_seg = PixelData(
            data=torch.randint(0, 5, (1, *size), generator=generator)
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def snapshot(network):
    """Copies of all parameters and buffers."""
    return {k: v.clone() for k, v in network.state_dict().items()}


def moved(network, before):
    """Names of the parameters and buffers that are not bit-identical."""
    return {
        k
        for k, v in network.state_dict().items()
        if not torch.equal(v, before[k])
    }


def runner_cfg(work_dir, dataset, model=None, loop=None, **kwargs):
    """Config of a short training on ``dataset`` (a config)."""
    loop = loop or dict(
        type='sr4ir_mm.AlternatingEpochTrainLoop', max_epochs=2
    )
    by_epoch = 'max_epochs' in loop
    cfg = dict(
        default_scope='mmseg',
        work_dir=str(work_dir),
        model=model or segmentor_cfg(),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(
                type='DefaultSampler' if by_epoch else 'InfiniteSampler',
                shuffle=True,
            ),
            dataset=dataset,
        ),
        train_cfg=loop,
        optim_wrapper=dict(
            constructor='mmagic.MultiOptimWrapperConstructor',
            sr_net=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)
            ),
            task_model=dict(
                type='OptimWrapper',
                optimizer=dict(type='SGD', lr=1e-2, momentum=0.9),
            ),
        ),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(
                type='CheckpointHook', interval=1, by_epoch=by_epoch
            ),
        ),
        log_processor=dict(by_epoch=by_epoch),
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            find_unused_parameters=True,
            broadcast_buffers=False,
        ),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        randomness=dict(seed=0),
        log_level='ERROR',
        experiment_name=f'{abs(hash(str(work_dir)))}',
    )
    cfg.update(kwargs)
    return copy.deepcopy(cfg)
