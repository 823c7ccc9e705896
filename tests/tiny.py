"""Networks that train in milliseconds, and data for them, for each task."""

import copy

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

SR_NET = dict(
    type='sr4ir_mm.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=4,
    num_blocks=1,
    upscale_factor=4,
)
# Looks at windows of 8x8.
SWINIR = dict(
    type='sr4ir_mm.SwinIRNet',
    upscale=4,
    in_chans=3,
    img_size=16,
    window_size=8,
    img_range=1.0,
    depths=[2],
    embed_dim=12,
    num_heads=[2],
    mlp_ratio=2,
    upsampler='pixelshuffledirect',
)

NORMALIZATION = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]
)
BACKBONE = dict(
    type='ResNet',
    depth=18,
    base_channels=4,
    stem_channels=4,
    num_stages=2,
    strides=(1, 1),
    dilations=(1, 1),
    out_indices=(0, 1),
    norm_cfg=dict(type='BN'),
    norm_eval=False,
)
SEGMENTOR = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        bgr_to_rgb=True,
        size_divisor=1,
        **NORMALIZATION,
    ),
    backbone=BACKBONE,
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
DETECTOR = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=8,
        **NORMALIZATION,
    ),
    backbone=dict(BACKBONE, strides=(1, 2)),
    neck=dict(type='FPN', in_channels=[4, 8], out_channels=8, num_outs=2),
    bbox_head=dict(
        type='FCOSHead',
        num_classes=4,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        strides=[4, 8],
        regress_ranges=((-1, 32), (32, 1e8)),
        norm_cfg=None,
    ),
    test_cfg=dict(
        nms_pre=100,
        score_thr=0.0,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=5,
    ),
)
CLASSIFIER = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor', to_rgb=True, **NORMALIZATION
    ),
    backbone=dict(BACKBONE, out_indices=(1,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=4, in_channels=8),
)
# What tells the tasks apart.
TASKS = dict(
    seg=dict(
        scope='mmseg',
        wrapper='SRSegmentor',
        model=SEGMENTOR,
        losses=('decode.loss_ce', 'decode.acc_seg'),
    ),
    det=dict(
        scope='mmdet',
        wrapper='SRDetector',
        model=DETECTOR,
        losses=('loss_cls', 'loss_bbox', 'loss_centerness'),
    ),
    cls=dict(
        scope='mmpretrain',
        wrapper='SRClassifier',
        model=CLASSIFIER,
        losses=('loss',),
    ),
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


def model_cfg(task='seg', **kwargs):
    """Config of a tiny model; ``kwargs`` replace its arguments."""
    cfg = dict(
        type=f'sr4ir_mm.{TASKS[task]["wrapper"]}',
        sr_net=SR_NET,
        task_model=TASKS[task]['model'],
        phases=SR4IR,
        cqmix=dict(type='sr4ir_mm.CQMix', grid=2),
    )
    cfg.update(kwargs)
    return ConfigDict(copy.deepcopy(cfg))


def build_model(task='seg', seed=0, **kwargs):
    from sr4ir_mm.registry import MODELS

    init_default_scope(TASKS[task]['scope'])
    torch.manual_seed(seed)
    return MODELS.build(model_cfg(task, **kwargs))


def make_batch(
    task='seg', num=2, size=(32, 32), sizes=None, seed=0, bands=None
):
    """A batch as a data loader of the toolbox gives it: uint8, BGR; or other
    bands, of the file's values.

    ``sizes`` are those of the images, where they differ.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for i, size in enumerate(sizes or [size] * num):  # noqa: B020
        if bands is None or bands.are_pictures:
            image = torch.randint(0, 256, (3, *size), generator=generator)
            inputs.append(image.byte())
        else:
            image = torch.rand((bands.number, *size), generator=generator)
            inputs.append(bands.from_unit(bands.quantize(image)))
        sample = make_sample(task, size, generator)
        sample.set_metainfo(
            dict(
                img_shape=size,
                ori_shape=size,
                img_path=f'{i}.jpg',
                img_id=i,
            )
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def make_sample(task, size, generator):
    if task == 'seg':
        from mmseg.structures import SegDataSample

        mask = torch.randint(0, 5, (1, *size), generator=generator)
        return SegDataSample(gt_sem_seg=PixelData(data=mask))
    if task == 'det':
        from mmdet.structures import DetDataSample
        from mmdet.structures.mask import BitmapMasks

        height, width = size
        boxes = torch.rand(2, 4, generator=generator) * 0.4
        boxes[:, 2:] += 0.6
        boxes *= torch.tensor([width, height, width, height])
        labels = torch.randint(0, 3, (2,), generator=generator)
        masks = np.zeros((2, height, width), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int()):
            mask[top:bottom, left:right] = 1
        instances = InstanceData(
            bboxes=boxes,
            labels=labels,
            masks=BitmapMasks(masks, height, width),
        )
        return DetDataSample(
            gt_instances=instances, ignored_instances=instances[:0]
        )
    from mmpretrain.structures import DataSample

    label = torch.randint(0, 3, (1,), generator=generator)
    return DataSample().set_gt_label(label)


def toy_dataset_cfg(task, root, split='train', augment=True):
    """Config of a split of the toy scenes in ``root``."""
    from sr4ir_mm.datasets.toy_scenes import CLASSES, PALETTE

    load = dict(type='LoadImageFromFile')
    flip = dict(type='RandomFlip', prob=0.5)
    crop = dict(type='RandomCrop', crop_size=(32, 32))
    if task == 'seg':
        return dict(
            type='BaseSegDataset',
            data_root=str(root),
            metainfo=dict(classes=CLASSES, palette=PALETTE),
            img_suffix='.jpg',
            seg_map_suffix='.png',
            data_prefix=dict(
                img_path='JPEGImages', seg_map_path='SegmentationClass'
            ),
            ann_file=f'ImageSets/Segmentation/{split}.txt',
            pipeline=[
                load,
                dict(type='LoadAnnotations'),
                *([crop, flip] if augment else []),
                dict(type='PackSegInputs'),
            ],
        )
    if task == 'det':
        return dict(
            type='VOCDataset',
            data_root=str(root),
            metainfo=dict(
                classes=CLASSES[1:], palette=[*map(tuple, PALETTE[1:])]
            ),
            data_prefix=dict(sub_data_root=''),
            ann_file=f'ImageSets/Main/{split}.txt',
            pipeline=[
                load,
                dict(type='LoadAnnotations', with_bbox=True),
                *([flip] if augment else []),
                dict(
                    type='PackDetInputs',
                    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'),
                ),
            ],
        )
    return dict(
        type='CustomDataset',
        data_root=str(root / 'Classification' / split),
        pipeline=[
            load,
            *([dict(crop, crop_size=32), flip] if augment else []),
            dict(type='PackInputs'),
        ],
    )


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


def plain(task, **preprocessor):
    """A task model whose data preprocessor leaves bands alone."""
    model = copy.deepcopy(TASKS[task]['model'])
    pre = model['data_preprocessor']
    for key in ('bgr_to_rgb', 'to_rgb', 'mean', 'std'):
        pre.pop(key, None)
    pre.update(preprocessor)
    return model


def runner_cfg(work_dir, dataset, task='seg', model=None, loop=None, **kwargs):
    """Config of a short training on ``dataset`` (a config)."""
    loop = loop or dict(
        type='sr4ir_mm.AlternatingEpochTrainLoop', max_epochs=2
    )
    by_epoch = 'max_epochs' in loop
    cfg = dict(
        default_scope=TASKS[task]['scope'],
        work_dir=str(work_dir),
        model=model or model_cfg(task),
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
            constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
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
