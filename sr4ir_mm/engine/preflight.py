"""What is looked at before a training or a test begins."""

import os.path as osp
import re
from difflib import get_close_matches
from typing import Dict, List, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    is_main_process,
)
from mmengine.logging import MMLogger
from mmengine.optim.scheduler import (
    ConstantParamScheduler,
    LinearParamScheduler,
    _ParamScheduler,
)
from mmengine.registry import OPTIMIZERS
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.runner import ParamSchedulerType
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.utils.data import DataLoader

from sr4ir_mm.datasets.bands_check import check_bands
from sr4ir_mm.datasets.census import (
    Census,
    compare_classes,
    counted_filters,
    empty,
    sentences,
    take_census,
)
from sr4ir_mm.datasets.pipeline import name_files, unreadable
from sr4ir_mm.models.heads import check_heads, find_heads
from sr4ir_mm.models.phased_model import NETWORKS
from sr4ir_mm.utils.mistakes import few

SPLITS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def build_loader(dataloader: dict, *args, **kwargs) -> DataLoader:
    """Build a data loader whose data set counts what it leaves out, and names
    the file that it fails on.

    Args:
        dataloader (dict): Its config.
        *args, **kwargs: See :meth:`mmengine.runner.Runner.build_dataloader`.
    """
    sampler = dataloader.get('batch_sampler') or {}
    if str(sampler.get('type')).endswith('AspectRatioBatchSampler'):
        sampler = dict(sampler, type='sr4ir_mm.AspectRatioBatchSampler')
        dataloader = dict(dataloader, batch_sampler=sampler)
    cfg = dataloader['dataset']
    try:
        with counted_filters(cfg):
            loader = Runner.build_dataloader(dataloader, *args, **kwargs)
    except Exception as error:
        # of the config; or of the training's workers, whose end is noticed
        # wherever this process is
        elsewhere = 'registry|keyword argument|DataLoader worker'
        if re.search(elsewhere, str(error)) or not isinstance(cfg, dict):
            raise
        raise unreadable(cfg, error) from error
    name_files(loader.dataset)
    return loader


def name_of(dataloader: dict, cfg: Config) -> str:
    """The key of a data loader in the config; of our epoch loop, which sets
    ``persistent_workers``, too."""
    workers = dict(persistent_workers=dataloader.get('persistent_workers'))
    for name in SPLITS:
        found = dict(cfg.get(name) or {})
        if {**found, **workers} == {**dataloader, **workers}:
            return name
    return 'dataloader'


def check_data(
    loader: DataLoader, name: str, model: nn.Module, cfg: Config
) -> List[Census]:
    """Take the census of a data loader's images and labels, on one process
    for all.

    Args:
        loader (DataLoader): Of a toolbox's data set.
        name (str): One of ``SPLITS``.
        model (nn.Module): What it is for.
        cfg (Config): The whole config, with the evaluators.

    Returns:
        list[Census]: One for each data set that it is made of.

    Raises:
        DataError: If there is nothing in it.
    """
    dataset = loader.dataset
    if not len(dataset):
        raise empty(type(dataset).__name__, vars(dataset))
    ignored = {getattr(m, 'ignore_index', None) for m in model.modules()}
    scale = getattr(model, 'scale', 1)
    found = [None]
    if is_main_process():
        try:
            if hasattr(model, 'image_space'):
                space = model.image_space
                check_bands(dataset, name, space.bands, space.loads_rgb)
            found[0] = take_census(dataset, name, scale, ignored - {None})
        except Exception as error:  # all processes stop, not this one alone
            found[0] = error
    broadcast_object_list(found)
    if isinstance(found[0], Exception):
        raise found[0]
    evaluator = cfg.get(name.replace('dataloader', 'evaluator')) or []
    _check_evaluator(evaluator, found[0])
    return found[0]


def _check_evaluator(evaluator, censuses: Sequence[Census]) -> None:
    """Warn of a metric that reads other annotations than the data set."""
    metrics = [evaluator] if isinstance(evaluator, dict) else evaluator
    files = [c.source for c in censuses if osp.isfile(c.source)]
    for metric in metrics:
        file = isinstance(metric, dict) and metric.get('ann_file')
        if (
            file
            and files
            and osp.realpath(file) not in map(osp.realpath, files)
        ):
            censuses[0].warn(
                'evaluator',
                f'{metric["type"]}.ann_file={file!r} is not the file of '
                f'{censuses[0].name}, {files[0]!r}: predictions would be '
                'compared with other labels.',
            )


def refuse(censuses: Sequence[Census]) -> None:
    """Raise DataError for what must be wrong with data, or between them."""
    for census in censuses:
        census.raise_errors()
    compare_classes(censuses)


def check_model(model: nn.Module, censuses: Sequence[Census]) -> None:
    """Raise ValueError unless each head is for the classes of the data."""
    task_model = getattr(model, 'task_model', None)
    for census in censuses[:1]:
        if task_model is not None and census.classes and census.task:
            check_heads(task_model, census.classes, census.name)


def check_metrics(
    evaluators: Dict[str, Union[dict, Sequence[dict]]], model: nn.Module
) -> None:
    """Raise ValueError where a metric asks for more classes than there are.

    Args:
        evaluators (dict): Their configs, by their keys.
        model (nn.Module): What they evaluate.
    """
    task_model = getattr(model, 'task_model', None)
    heads = {} if task_model is None else dict(find_heads(task_model))
    classes = max([number for _, number in heads.values()], default=None)
    for key, metrics in evaluators.items():
        if isinstance(metrics, dict):
            metrics = metrics.get('metrics', [metrics])
        for metric in metrics:
            topk = metric.get('topk') if isinstance(metric, dict) else None
            most = max([topk] if isinstance(topk, int) else topk or [0])
            if classes and most > classes:
                raise ValueError(
                    f'{key}: {metric["type"]}.topk has {most}, but there are '
                    f'{classes} classes: leave it out.'
                )


def check_batches(loader: DataLoader, model: nn.Module) -> None:
    """Raise ValueError where training would find no batch, other numbers of
    them on other ranks, or BatchNorm a single image.

    Args:
        loader (DataLoader): Of the training.
        model (nn.Module): The model.
    """
    sampler = loader.batch_sampler
    size, drop_last = sampler.batch_size, sampler.drop_last
    number = len(sampler.sampler)
    key = 'train_dataloader'
    if not len(loader):
        raise ValueError(
            f'{key} gives no batch: {number} images on each rank, '
            f'batch_size={size}, drop_last={drop_last}. Lower batch_size, or '
            'set drop_last=False.'
        )
    lengths = all_gather_object(len(loader))
    if len(set(lengths)) > 1:
        raise ValueError(
            f'{key} gives {lengths} batches on the ranks, which would wait '
            "for each other for ever. Set sampler=dict(type='DefaultSampler', "
            'round_up=True).'
        )
    alone = size == 1 or (number % size == 1 and not drop_last)
    if type(sampler.sampler).__name__ == 'InfiniteSampler':
        alone = size == 1
    norms = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and not isinstance(module, SyncBatchNorm)
        and module.training
    ]
    if not alone or not norms:
        return
    if size == 1:
        MMLogger.get_current_instance().warning(
            f'{key}.batch_size=1: {len(norms)} BatchNorm layers, first '
            f'{norms[0]}, see one image at a time. Take more, or freeze them '
            '(norm_eval=True).'
        )
        return
    raise ValueError(
        f'{key}: the last batch of each epoch has a single image ({number} '
        f'images, batch_size={size}), of which BatchNorm, {norms[0]} say, '
        'makes no statistics. Set drop_last=True, or another batch_size.'
    )


def report(censuses: Sequence[Census], logger: MMLogger) -> None:
    """Log what is in a data set, in a line, and warn of what may be wrong."""
    for census in censuses:
        logger.info(str(census))
        for text in sentences(census.warnings):
            logger.warning(text)


def check_lengths(train_cfg: dict) -> None:
    """Raise ValueError if there is nothing to train."""
    for key in ('max_iters', 'max_epochs'):
        length = train_cfg.get(key, 1)
        if (
            not isinstance(length, (int, float))
            or not 1 <= length < float('inf')
            or length != int(length)
        ):
            raise ValueError(
                f'train_cfg.{key}={length!r}: expected a whole number, 1 or '
                'more.'
            )


def check_schedules(schedules: ParamSchedulerType, loop: BaseLoop) -> None:
    """Warn of learning rates that would not do what a training's schedule
    means them to, since it is shorter than that.

    Args:
        schedules (dict | list | None): As mmengine has built them.
        loop (BaseLoop): The training's.
    """
    if not isinstance(schedules, dict):
        schedules = dict(all=schedules or [])
    found: Dict[str, List[str]] = {}
    for network, group in schedules.items():
        for schedule in group:
            unit, length = (
                ('epoch', loop.max_epochs)
                if schedule.by_epoch
                else ('iteration', loop.max_iters)
            )
            what = _out_of_reach(schedule, length)
            if what:
                text = f'{type(schedule).__name__} {what} {unit} {length}'
                found.setdefault(text, []).append(network)
    for text, networks in found.items():
        MMLogger.get_current_instance().warning(
            f'param_scheduler ({", ".join(networks)}): {text}. To shorten a '
            'training with all that goes with it, use wrap(..., epochs= or '
            'iters=), or sr4ir_mm.apis.shorten.'
        )


def _out_of_reach(schedule: _ParamScheduler, length: int) -> Optional[str]:
    """What a schedule of rates does after the end of the training."""
    ends = 'but the training ends at'
    begin, end = schedule.begin, schedule.end
    if begin >= length:
        return f'sets in at {begin}, {ends}'
    milestones = [begin + step for step in getattr(schedule, 'milestones', [])]
    if milestones and min(milestones) >= length:
        return f'lowers the rate at {few(sorted(milestones))}, {ends}'
    if end > length and _rises(schedule):
        return f'warms up until {end}, {ends}'
    return None


def _rises(schedule: _ParamScheduler) -> bool:
    if isinstance(schedule, LinearParamScheduler):
        return schedule.start_factor < schedule.end_factor
    if isinstance(schedule, ConstantParamScheduler):
        return schedule.factor < 1
    return 'Warmup' in type(schedule).__name__  # mmdet's quadratic one


def check_optimizers(cfg: Config, model: nn.Module) -> None:
    """Raise ValueError for an optimizer or a schedule of a network that there
    is not, KeyError for an unknown optimizer."""
    networks = list(getattr(model, 'networks', ()))
    if not networks:  # no model of this package
        return
    optimizers = cfg.get('optim_wrapper')
    schedules = cfg.get('param_scheduler')
    if isinstance(optimizers, dict) and not optimizers.get('constructor'):
        raise ValueError(
            'optim_wrapper needs one optimizer per network: dict(constructor='
            "'sr4ir_mm.NetworkOptimWrapperConstructor', "
            f'{", ".join(f"{name}=dict(...)" for name in networks)}).'
        )
    named = {
        key: [
            name
            for name, value in group.items()
            if isinstance(value, (dict, list))
        ]
        for key, group in (
            ('optim_wrapper', optimizers),
            ('param_scheduler', schedules),
        )
        if isinstance(group, dict) and 'type' not in group
    }
    for key, names in named.items():
        # a schedule of a network that this recipe has not is no harm
        known = networks if key == 'optim_wrapper' else NETWORKS
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 1)
                raise ValueError(
                    f'{key}.{name}: the model has no such network. It has '
                    f'{" and ".join(networks)}'
                    + (f': did you mean {near[0]}?' if near else '.')
                )
    for name in named.get('optim_wrapper', []):
        optimizer = optimizers[name].get('optimizer')
        if not isinstance(optimizer, dict) or 'type' not in optimizer:
            raise ValueError(
                f'optim_wrapper.{name}.optimizer={optimizer!r}: expected a '
                "config, such as dict(type='AdamW', lr=2e-4)."
            )
        rate = optimizer.get('lr', 0)
        if not isinstance(rate, (int, float)) or not 0 <= rate < float('inf'):
            raise ValueError(
                f'optim_wrapper.{name}.optimizer.lr={rate!r}: expected a '
                'finite number, 0 or more.'
            )
        kind = optimizer['type']
        if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
            raise KeyError(f"'{kind} is not in the optimizer registry")
    if 'optim_wrapper' in named and 'param_scheduler' in named:
        for name in named['optim_wrapper']:
            if name not in named['param_scheduler']:
                raise ValueError(
                    f'param_scheduler has no {name}, which optim_wrapper has: '
                    'add its list of schedules, which may be empty.'
                )
