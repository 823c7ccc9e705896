import copy
import os.path as osp
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Optional, Sequence, Union

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from sr4ir_mm.utils.bands import (
    PHOTOMETRIC,
    SWAPS,
    Bands,
    raster_loader,
    read_bands,
)
from sr4ir_mm.utils.files import find_folder

from .schedule import lay_out, shorten, start_on_pixels

WRAPPERS = dict(
    mmseg='SRSegmentor', mmdet='SRDetector', mmpretrain='SRClassifier'
)
LOOPS = dict(
    EpochBasedTrainLoop='AlternatingEpochTrainLoop',
    IterBasedTrainLoop='AlternatingIterTrainLoop',
)
# What brings images of different sizes to that of the detector, or needs them
# to have one size.
RESIZING = (
    'Resize',
    'FixShapeResize',
    'RandomResize',
    'RandomChoiceResize',
    'ResizeShortestEdge',
    'Mosaic',
    'CachedMosaic',
    'MixUp',
    'CachedMixUp',
    'RandomAffine',
    'CopyPaste',
    'Pad',
)
# How files of weights end.
WEIGHTS = ('.pth', '.pt', '.ckpt', '.safetensors')
# Keys of mmdet's filter_cfg that leave out what is small when enlarged.
SIZE_FILTERS = ('min_size', 'bbox_min_size')


def wrap(
    cfg: Union[Config, ConfigDict, str],
    sr_net: Union[str, dict, None] = 'edsr_x4',
    recipe: Union[str, Sequence[dict]] = 'one_batch',
    epochs: Optional[int] = None,
    iters: Optional[int] = None,
    **model,
) -> Union[Config, ConfigDict]:
    """Put the task model of a toolbox's config behind an SR network.

    Works on the config in place. So it takes three lines in a config, whose
    other lines then change the result as usual::

        _base_ = 'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py'
        from sr4ir_mm.apis import wrap
        wrap(_base_)

    Data, augmentation and schedule stay as they are, with three exceptions. In
    mmdet, what resizes images leaves the pipelines, and becomes
    ``model.resize``: HR is the image at its native size. The SR network's
    rates go down to zero where those of the task model stop at a fixed value.
    And where a recipe trains the networks one after the other, the task model
    has its schedule in its own part of the training, which is longer by the
    SR network's (:func:`lay_out`).

    An SR network without pre-trained weights is first trained on pixels alone,
    for as long as the schedule, unless the recipe begins so.

    Args:
        cfg (Config | ConfigDict | str): Config of a model of mmseg, mmdet or
            mmpretrain, or its file, such as ``mmseg::pspnet/....py``; in a
            config, ``_base_``.
        sr_net (str | dict, optional): A file with ``sr_net``, ``scale`` and
            perhaps ``sr_optim_wrapper``, by its path or its name in
            ``configs/_base_/sr_nets``; or a network's weights, ``*.pth`` or
            ``*.safetensors``, which tell it and the scale
            (:class:`Spandrel`); or a network's config, which needs ``scale``
            beside it. None for recipes without one. Defaults to ``edsr_x4``.
        recipe (str | Sequence[dict]): A file with ``phases`` or ``recipe``, by
            its path or its name in ``configs/_base_/recipes``; or the phases.
            Defaults to ``one_batch``, the best known (docs/en/results.md).
        epochs, iters (int, optional): A shorter or longer schedule, and all
            that goes with it (:func:`shorten`). Defaults to the config's.
        **model: Other arguments of :class:`SRTaskModel` and its siblings, such
            as ``scale``, ``cqmix`` or ``resize``. ``degradation`` may be a
            file, too, or its name in ``configs/_base_/degradations``.
            ``resize=None`` leaves the pipelines of a detector as they are, and
            HR is what they make. With ``bands``, images are loaded by
            :class:`LoadRasterFromFile`, and normalised as their ranges say;
            augmentations that are made for RGB of 8 bits are left out.

    Returns:
        Config | ConfigDict: ``cfg``, or what was read of the file.
    """
    if isinstance(cfg, str):
        name, cfg = cfg, _read(cfg)
    else:
        name = getattr(cfg, 'filename', None) or 'the config'
    scope = cfg.get('default_scope')
    _check(cfg, scope, name)
    if epochs is not None or iters is not None:
        shorten(cfg, epochs, iters)
    options, sr_optim_wrapper = _sr_options(sr_net, model.get('bands'))
    options.update(_toolbox_options(cfg, scope, model))
    if model.get('bands'):
        _load_bands(cfg, read_bands(model['bands']))
    if isinstance(model.get('degradation'), str):
        found = _read(model['degradation'], 'degradations')
        model['degradation'] = found.degradation
    wrapped = Config(
        dict(
            model=dict(
                type=f'sr4ir_mm.{WRAPPERS[scope]}',
                task_model=cfg['model'],
                **options,
            )
        )
    )
    wrapped.merge_from_dict(dict(model=_recipe_options(recipe)))
    wrapped.model.update(model)
    if cfg.get('load_from'):  # names in it are those of the task model
        checkpoint = dict(type='Pretrained', checkpoint=cfg['load_from'])
        wrapped.model.task_model.init_cfg = checkpoint
        cfg['load_from'] = None
    if wrapped.model.sr_net is None:
        sr_optim_wrapper = None
    elif not _has_weights(wrapped.model.sr_net):
        wrapped.model.phases = start_on_pixels(wrapped.model.phases)
    cfg['model'] = wrapped.model
    _wrap_training(cfg, sr_optim_wrapper)
    lay_out(cfg, wrapped.model.phases)
    _wrap_runtime(cfg)
    return cfg


def _read(path: str, folder: str = '') -> Config:
    """A config by its path, its address in a toolbox, or its name in one of
    our folders."""
    if '::' not in path:
        candidates = [osp.abspath(path)]
        if folder:
            candidates.append(str(_ours(folder) / f'{path}.py'))
        found = [file for file in candidates if osp.isfile(file)]
        if not found:
            names = _names(path, folder) if folder else ''
            raise FileNotFoundError(f'wrap: there is no file {path!r}{names}.')
        path = found[0]
    return Config.fromstring(f'_base_ = {path!r}', '.py')


def _ours(folder: str) -> Path:
    return (find_folder('configs') or Path('configs')) / '_base_' / folder


def _names(wanted: str, folder: str) -> str:
    """The names of one of our folders, nearest first."""
    names = sorted(file.stem for file in _ours(folder).glob('*.py'))
    if not names:
        return ''
    nearest = get_close_matches(wanted, names, len(names), 0)
    return f', nor is it a name in configs/_base_/{folder}: ' + ', '.join(
        nearest
    )


def _check(cfg, scope: Optional[str], name: str) -> None:
    """Raise ValueError for what cannot be wrapped."""
    for key in ('model', 'optim_wrapper', 'train_cfg'):
        if not cfg.get(key):
            raise ValueError(
                f'wrap: {name} has no {key}, so it is not for training: take '
                f'another config of this family, or add {key} to it.'
            )
    if scope not in WRAPPERS:
        raise ValueError(
            f'wrap: {name} has default_scope={scope!r}: expected that of '
            f'{", ".join(WRAPPERS)}.'
        )
    kind = str(cfg.get('model', {}).get('type'))
    if kind.startswith('sr4ir_mm.'):
        raise ValueError(f'wrap: the model of {name} is a {kind} already.')


def _sr_options(sr_net, bands: Optional[dict]) -> tuple:
    """Arguments of the model, and the SR network's optimizer wrapper."""
    wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0),
    )
    if sr_net is None or isinstance(sr_net, dict):
        return dict(sr_net=sr_net), wrapper
    if sr_net.endswith(WEIGHTS):
        from sr4ir_mm.models.sr_nets.builder import set_channels
        from sr4ir_mm.models.sr_nets.spandrel import read_network

        sr_net, scale = read_network(sr_net)
        set_channels(dict(sr_net), read_bands(bands))
        return dict(sr_net=sr_net, scale=scale), wrapper
    found = _read(sr_net, 'sr_nets')
    return (
        dict(sr_net=found.sr_net, scale=found.scale),
        found.get('sr_optim_wrapper', wrapper),
    )


def _has_weights(sr_net: dict) -> bool:
    """Whether it, or a part of it, starts from pre-trained weights."""
    parts = [part for part in sr_net.values() if isinstance(part, dict)]
    return bool(sr_net.get('checkpoint')) or any(map(_has_weights, parts))


def _recipe_options(recipe) -> dict:
    if not isinstance(recipe, str):
        return dict(phases=recipe)
    found = _read(recipe, 'recipes')
    return dict(found.get('recipe') or dict(phases=found.phases))


def _toolbox_options(cfg, scope: str, model: dict) -> dict:
    """What the wrapper of a toolbox needs beyond that of the others."""
    task_model = cfg['model']
    if scope == 'mmpretrain':  # the paper's grid in classification
        return dict(cqmix=dict(type='sr4ir_mm.CQMix', grid=4))
    if scope == 'mmseg':
        _resize_once(cfg)
        heads = task_model.get('decode_head', {})
        head = heads[-1] if isinstance(heads, (list, tuple)) else heads
        # for mmseg's get_flops
        return dict(decode_head=dict(type=head.get('type')))
    # for mmdet's init_detector
    options = dict(backbone=dict(task_model.get('backbone', {})))
    resize = model.get('resize', _test_size(cfg))
    if resize is not None:
        _take_out_resizing(cfg)
        options['resize'] = resize
    return options


def _load_bands(cfg, bands: Bands) -> None:
    """Of images that are no pictures, whose bands have no mean yet."""
    left_out = set()

    def change_all(nodes: Sequence) -> Sequence:
        if not bands.are_pictures:
            left_out.update(set(map(_kind, nodes)) & set(PHOTOMETRIC))
            nodes = [n for n in nodes if _kind(n) not in left_out]
        return [change(node) for node in nodes]

    def change(node: Any) -> Any:
        if _kind(node) == 'LoadImageFromFile':
            node.clear()
            node.update(raster_loader(bands))
        elif _kind(node) == 'TestTimeAug':  # lists of what to try, in turn
            steps = filter(None, map(change_all, node['transforms']))
            node['transforms'] = ignore_nodata(steps, tries=True)
        elif isinstance(node, dict):
            for key in list(node):
                node[key] = change(node[key])
        elif isinstance(node, (list, tuple)):
            return type(node)(ignore_nodata(change_all(node)))
        return node

    def ignore_nodata(steps: Iterable, tries: bool = False) -> list:
        is_seg = cfg['default_scope'] == 'mmseg'
        return list(_with_nodata(steps, tries) if is_seg else steps)

    for key in [key for key in cfg if key != 'model']:
        cfg[key] = change(cfg[key])
    if left_out:
        print_log(
            f'wrap: {", ".join(sorted(left_out))} is left out, which is made '
            'for RGB of 8 bits.',
            'current',
        )
    if 'data_preprocessor' not in cfg['model']:
        cfg.setdefault('data_preprocessor', ConfigDict())
    preprocessor = _preprocessor(cfg)
    preprocessor.update(mean=None, std=None)
    for key in SWAPS:
        if key in preprocessor:
            preprocessor[key] = False


def _with_nodata(steps: Iterable, tries: bool) -> Iterator[Any]:
    """Labels are ignored where an image has no data, while they have its
    size. If ``tries``, each step is a list of what to try."""
    for step in steps:
        yield step
        if _kind(step[0] if tries else step) == 'LoadAnnotations':
            ignore = dict(type='sr4ir_mm.IgnoreNodata')
            yield [ignore] if tries else ignore


def _preprocessor(cfg) -> dict:
    preprocessor = cfg['model'].get('data_preprocessor')
    return cfg['data_preprocessor'] if preprocessor is None else preprocessor


def _resize_once(cfg) -> None:
    """HR is what the test pipeline makes of an image: test-time augmentation
    does not resize it to other sizes."""
    for transform in cfg.get('tta_pipeline') or []:
        if transform['type'] == 'TestTimeAug':
            once = [
                t
                for t in cfg.get('test_pipeline', [])
                if t['type'].endswith('Resize')
            ]
            transform['transforms'] = [
                once if options[0]['type'].endswith('Resize') else options
                for options in transform['transforms']
            ]


def _test_size(cfg) -> Optional[tuple]:
    """Within which size the detector sees images, if they keep their shape.

    BoxInst makes labels of their colours before, at the size that they have.
    """
    preprocessor = cfg['model'].get('data_preprocessor') or {}
    if _kind(preprocessor) == 'BoxInstDataPreprocessor':
        return None
    loader = cfg.get('test_dataloader') or {}
    for transform in loader.get('dataset', {}).get('pipeline', []):
        if transform['type'].endswith('Resize'):
            scale = transform.get('scale')
            if transform.get('keep_ratio') and isinstance(scale, Sequence):
                return max(scale), min(scale)
    return None


def _take_out_resizing(cfg) -> None:
    """From all pipelines, wherever they are: data sets, hooks, variables."""
    padded = False

    def without(node: Any) -> Any:
        nonlocal padded
        if isinstance(node, dict):
            for key in list(node):
                node[key] = without(node[key])
            for key in SIZE_FILTERS:  # images are small here by design
                (node.get('filter_cfg') or {}).pop(key, None)
            if _kind(node) == 'TestTimeAug':
                node['transforms'] = [t for t in node['transforms'] if t]
        elif isinstance(node, (list, tuple)):
            kinds = [_kind(item) for item in node]
            padded = padded or 'Pad' in kinds
            return type(node)(
                without(item)
                for item, kind in zip(node, kinds)
                if kind not in RESIZING
            )
        return node

    for key in [key for key in cfg if key != 'model']:
        cfg[key] = without(cfg[key])
    if padded:  # to a size that the network can divide; the preprocessor does
        _pad_in_preprocessor(cfg)


def _kind(item: Any) -> str:
    kind = item.get('type') if isinstance(item, dict) else None
    return kind.rpartition('.')[2] if isinstance(kind, str) else ''


def _pad_in_preprocessor(cfg) -> None:
    preprocessor = _preprocessor(cfg)
    divisor = preprocessor.get('pad_size_divisor', 1)
    preprocessor['pad_size_divisor'] = max(32, divisor)
    if preprocessor.get('mean') is None:
        preprocessor['pad_value'] = 114  # as these detectors pad


def _wrap_training(cfg, sr_optim_wrapper: Optional[dict]) -> None:
    """Optimizers, schedules and the loop."""
    cfg['optim_wrapper'] = ConfigDict(
        constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
        task_model=cfg['optim_wrapper'],
    )
    schedules = cfg.get('param_scheduler')
    if sr_optim_wrapper is not None:
        cfg['optim_wrapper']['sr_net'] = sr_optim_wrapper
        if schedules:
            cfg['param_scheduler'] = ConfigDict(
                sr_net=_to_zero(schedules), task_model=schedules
            )
    elif schedules:
        cfg['param_scheduler'] = ConfigDict(task_model=schedules)
    loop = dict(cfg['train_cfg'])
    by_epoch = loop.pop('by_epoch', True)
    kind = loop.pop('type', list(LOOPS)[0 if by_epoch else 1])
    if kind not in LOOPS:
        raise ValueError(
            f'wrap: train_cfg.type={kind!r}: expected {" or ".join(LOOPS)}, '
            'whose place an alternating loop can take.'
        )
    cfg['train_cfg'] = ConfigDict(type=f'sr4ir_mm.{LOOPS[kind]}', **loop)


def _to_zero(schedules: Union[dict, List[dict]]) -> List[dict]:
    """The same schedules for rates of another size: `eta_min` is absolute."""
    if isinstance(schedules, dict):
        schedules = [schedules]
    schedules = copy.deepcopy(schedules)
    for schedule in schedules:
        if 'eta_min' in schedule:
            schedule['eta_min'] = 0
    return schedules


def _wrap_runtime(cfg) -> None:
    """What `_base_/plugin.py` has, panels, and image metrics."""
    imports = cfg.get('custom_imports') or dict(imports=[])
    for key, value in _read('plugin', '.').items():
        cfg[key] = value
    modules = imports['imports']
    modules = [modules] if isinstance(modules, str) else list(modules)
    modules = dict.fromkeys([*cfg['custom_imports']['imports'], *modules])
    cfg['custom_imports'] = ConfigDict(imports, imports=list(modules))
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hooks['visualization'] = dict(type='sr4ir_mm.SRVisualizationHook')
    for split in ('val', 'test'):
        metrics = cfg.get(f'{split}_evaluator')
        if metrics:
            if not isinstance(metrics, (list, tuple)):
                metrics = [metrics]
            metrics = [*metrics, dict(type='sr4ir_mm.SRPSNR')]
            cfg[f'{split}_evaluator'] = metrics
