"""Data of one's own in a config, whatever the toolbox."""

from typing import Dict, List, Optional, Sequence, Union

from mmengine.config import Config, ConfigDict

from sr4ir_mm.utils.bands import raster_loader, read_bands

from .schedule import nodes

TASKS = dict(mmseg='seg', mmdet='det', mmpretrain='cls')
_VISUALIZERS = dict(
    seg='SegLocalVisualizer',
    det='DetLocalVisualizer',
    cls='UniversalVisualizer',
)
_NORMALIZATION = dict(  # ImageNet's
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]
)


def use_data(
    cfg: Union[Config, ConfigDict],
    classes: Sequence[str],
    train: dict,
    val: dict,
    test: dict,
    batch_size: int = 4,
    crop: Optional[int] = None,
    short_side: Optional[int] = None,
    values: Optional[Sequence] = None,
    palette: Optional[Sequence] = None,
    lr: Optional[Dict[str, str]] = None,
) -> Union[Config, ConfigDict]:
    """Put other data into a config that :func:`wrap` made.

    Works on the config in place, below ``wrap(_base_)``, whose ``bands`` say
    that images are rasters. Heads get the number of classes, metrics the
    annotations. HR is the image as its file has it:
    training crops and flips it, and nothing enlarges it before LR is made.
    The task network's learning rate goes with the batch size, where the
    config says for which it is meant (``auto_scale_lr.base_batch_size``).

    Args:
        cfg (Config | ConfigDict): The config; in a config, ``_base_``.
        classes (Sequence[str]): In the order of their labels.
        train, val, test (dict): Data sets of the toolbox, without
            ``metainfo`` and ``pipeline``.
        batch_size (int): In training. Defaults to 4.
        crop (int, optional): Side of the crops; those of a validation are
            from the middle in classification, and none otherwise.
        short_side (int, optional): To which images are resized before, in
            classification: there, images of one batch have one size.
        values (Sequence, optional): Ids or colours of the classes in masks
            (:class:`LoadAnnotationsByValue`). Defaults to 0, 1, 2 ...
        palette (Sequence, optional): Colours to draw the classes in.
        lr (dict[str, str], optional): What to replace in the path of an HR
            image to get its LR image (:class:`LoadLRImageFromFile`). Defaults
            to none: LR is made of HR.

    Returns:
        Config | ConfigDict: ``cfg``.
    """
    task = TASKS[cfg['default_scope']]
    load = _loading(cfg, task, values)
    pairs = lr and dict(lr=lr, scale=cfg['model']['scale'])
    _set_classes(cfg, task, len(classes))
    _set_size(cfg, task, crop)
    image = dict(type='LoadImageFromFile')
    if cfg['model'].get('bands'):
        image = raster_loader(read_bands(cfg['model']['bands']))
    training, testing = (
        _pipeline(task, image, load, crop, short_side, pairs, training)
        for training in (True, False)
    )
    metainfo = dict(classes=tuple(classes))
    if palette:
        metainfo['palette'] = [tuple(color) for color in palette]
    for name, split in dict(train=train, val=val, test=test).items():
        training_now = name == 'train'
        dataset = dict(
            split,
            metainfo=metainfo,
            pipeline=training if training_now else testing,
        )
        if task == 'det':
            dataset['test_mode'] = not training_now
        same_size = task == 'cls' and crop and not lr
        cfg[f'{name}_dataloader'] = ConfigDict(
            batch_size=batch_size if training_now or same_size else 1,
            num_workers=2,
            persistent_workers=True,
            sampler=_sampler(cfg, training_now),
            dataset=dataset,
        )
        if not training_now:
            cfg[f'{name}_evaluator'] = _metrics(task, cfg, split)
    cfg.setdefault(
        'visualizer',
        ConfigDict(
            type=_VISUALIZERS[task],
            name='visualizer',
            vis_backends=[dict(type='LocalVisBackend')],
        ),
    )
    cfg.pop('tta_pipeline', None)  # of other data
    _set_rate(cfg, batch_size)
    return cfg


def _sampler(cfg: Config, training: bool) -> dict:
    by_epoch = 'max_epochs' in cfg['train_cfg']
    if training and not by_epoch:
        return dict(type='InfiniteSampler', shuffle=True)
    return dict(type='DefaultSampler', shuffle=training)


def _loading(cfg: Config, task: str, values: Optional[Sequence]) -> List[dict]:
    """How annotations are loaded; a detector's own way, with masks say."""
    if task == 'cls':
        return []
    if task == 'seg':
        rasters = bool(cfg['model'].get('bands'))
        if values:
            load = dict(
                type='sr4ir_mm.LoadAnnotationsByValue', values=list(values)
            )
            ignore = dict(type='sr4ir_mm.IgnoreNodata')
            return [load, ignore] if rasters else [load]
        if rasters:
            return [dict(type='sr4ir_mm.LoadRasterAnnotations')]
        return [dict(type='LoadAnnotations')]
    found = [
        node
        for node in nodes(cfg.get('train_dataloader'))
        if node.get('type') == 'LoadAnnotations'
    ]
    return [
        found[0] if found else dict(type='LoadAnnotations', with_bbox=True)
    ]


def _pipeline(
    task: str,
    image: dict,
    load: List[dict],
    crop: Optional[int],
    short_side: Optional[int],
    pairs: Optional[dict],
    training: bool,
) -> List[dict]:
    steps = [image]
    rasters = image['type'] != 'LoadImageFromFile'
    if pairs:
        loading = dict(
            type='sr4ir_mm.LoadLRImageFromFile', replace=pairs['lr']
        )
        if rasters:
            loading.update(image, type=loading['type'], loader=image['type'])
        steps.append(loading)
    steps += load
    if short_side:
        # Pillow knows RGB of 8 bits
        backend = 'cv2' if rasters else 'pillow'
        steps.append(
            dict(
                type='ResizeEdge',
                scale=short_side,
                edge='short',
                backend=backend,
            )
        )
    if pairs and training and task != 'det':
        steps.append(
            dict(
                type='sr4ir_mm.PairedRandomCrop',
                crop_size=(crop, crop),
                scale=pairs['scale'],
            )
        )
    elif crop and not pairs:
        size = crop if task == 'cls' else (crop, crop)
        if training:
            steps.append(dict(type='RandomCrop', crop_size=size))
        elif task == 'cls':
            steps.append(dict(type='CenterCrop', crop_size=size))
    if training and not (pairs and task == 'det'):
        steps.append(dict(type='RandomFlip', prob=0.5))
    pack = dict(
        type=dict(seg='PackSegInputs', det='PackDetInputs', cls='PackInputs')[
            task
        ]
    )
    return [
        *steps,
        dict(type='sr4ir_mm.PackLR', pack=pack) if pairs else pack,
    ]


def _metrics(task: str, cfg: Config, split: dict) -> List[dict]:
    metrics = dict(
        seg=dict(type='IoUMetric', iou_metrics=['mIoU']),
        det=dict(
            type='CocoMetric', ann_file=split.get('ann_file'), metric='bbox'
        ),
        cls=dict(type='Accuracy', topk=1),
    )
    if task == 'det' and any(
        node.get('with_mask') for node in nodes(cfg['train_dataloader'])
    ):
        metrics['det']['metric'] = ['bbox', 'segm']
    return [
        metrics[task],
        dict(type='sr4ir_mm.SRPSNR'),
        dict(type='sr4ir_mm.SRSSIM'),
    ]


def _set_classes(cfg: Config, task: str, number: int) -> None:
    """In all heads, and in the weights of their losses."""
    task_model = cfg['model']['task_model']
    for node in nodes(task_model):
        before = node.get('num_classes')
        if before is None:
            continue
        node['num_classes'] = number
        for inner in nodes(node):
            weights = inner.get('class_weight')
            if isinstance(weights, (list, tuple)):  # and one of background
                rest = list(weights[before:])
                inner['class_weight'] = [1.0] * number + rest
    if task == 'cls':
        task_model['head']['num_classes'] = number
        preprocessor = cfg.get('data_preprocessor') or dict(
            to_rgb=True, **_NORMALIZATION
        )
        preprocessor['num_classes'] = number
        cfg['data_preprocessor'] = ConfigDict(preprocessor)


def _set_size(cfg: Config, task: str, crop: Optional[int]) -> None:
    """Of batches in mmseg, which pads crops to it; of windows."""
    task_model = cfg['model']['task_model']
    preprocessor = task_model.get('data_preprocessor') or {}
    if task == 'seg' and crop and preprocessor.get('size'):
        preprocessor['size'] = (crop, crop)
    for hook in list(cfg.get('custom_hooks') or ()):
        if 'switch_pipeline' in hook:  # to one of other data
            cfg['custom_hooks'].remove(hook)


def _set_rate(cfg: Config, batch_size: int) -> None:
    """The task network's rate for this batch size."""
    scaling = cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    if base:
        optimizer = cfg['optim_wrapper']['task_model']['optimizer']
        optimizer['lr'] *= batch_size / base
        scaling['base_batch_size'] = batch_size
