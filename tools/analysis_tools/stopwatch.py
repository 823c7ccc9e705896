"""What step_time.py measures, of one config."""

import argparse
import os.path as osp
import sys
from collections import defaultdict
from itertools import islice, repeat
from multiprocessing import get_context
from statistics import median
from tempfile import TemporaryDirectory
from typing import Callable, Iterator

import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from synthetic_data import SyntheticDataset

from sr4ir_mm.engine.stopwatch import Memory, Stopwatch, now
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.config_files import adapt_to_cpu

TESTS = osp.join(osp.dirname(osp.abspath(__file__)), '..', '..', 'tests')
# Height, width and batch size of the paper, as far as a CPU can.
SIZES = dict(
    mmseg=(480, 480, 2), mmdet=(375, 500, 2), mmpretrain=(224, 224, 8)
)


def load(path: str, args: argparse.Namespace) -> Config:
    """A config that trains on random images, and needs no files."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(args.cfg_options)
    for node in dicts(cfg.model):
        if isinstance(node.get('init_cfg'), dict):
            node['init_cfg'] = None
    for node in dicts(cfg.model.phases):
        node.pop('begin', None)
        node.pop('end', None)
    cfg.size = tuple(args.size or SIZES[cfg.default_scope])
    for part in ('cfg', 'dataloader', 'evaluator'):
        cfg.merge_from_dict({f'val_{part}': None, f'test_{part}': None})
    *shape, batch_size = cfg.size
    cfg.train_dataloader = dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=False),
        dataset=dict(
            type='mmengine.SyntheticDataset',
            scope=cfg.default_scope,
            size=shape,
            num_classes=min(
                node['num_classes']
                for node in dicts(cfg.model)
                if 'num_classes' in node
            ),
        ),
    )
    cfg.train_cfg = dict(
        type='sr4ir_mm.AlternatingIterTrainLoop',
        max_iters=args.warmup + args.iters,
    )
    cfg.param_scheduler = None
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks') or []
        if hook['type'] == 'sr4ir_mm.CompileHook'
    ]
    cfg.default_hooks = dict(checkpoint=None, logger=None)
    cfg.launcher = 'none'
    cfg.log_level = 'ERROR'
    if not torch.cuda.is_available():
        adapt_to_cpu(cfg)
    return cfg


def dicts(node) -> Iterator[dict]:
    """All dicts in a config."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from dicts(value)


# ------------------------------------------------------------------- measured


def measure_training(path: str, args: argparse.Namespace) -> dict:
    """Seconds an iteration and its parts take, and MiB."""
    cfg = load(path, args)
    watch = Stopwatch()
    with TemporaryDirectory() as cfg.work_dir:
        runner = Runner.from_cfg(cfg)
        for copy in (runner.model._teacher, runner.model._anchor):
            if copy.checkpoint:
                copy.checkpoint = osp.join(cfg.work_dir, f'{copy.name}.pth')
                weights = getattr(runner.model, copy.name).state_dict()
                torch.save(weights, copy.checkpoint)
        runner.register_hook(watch)
        runner.train()
    return dict(
        seconds=median(watch.iterations[args.warmup :]),
        memory=watch.memory.peak(),
        parts={
            name: median(times[args.warmup :])
            for name, times in watch.parts.items()
        },
    )


def measure_reference(path: str, args: argparse.Namespace) -> dict:
    """The same of the plain loop, on images of the same sizes."""
    sys.path.insert(0, TESTS)
    import reference

    cfg = load(path, args)
    scope, (*shape, batch_size) = cfg.default_scope, cfg.size
    num_classes = cfg.train_dataloader.dataset.num_classes
    sr_net = reference.EDSR(2).set_mean_shifts().float().to(get_device())
    task = build_reference(reference, scope, num_classes)
    data = SyntheticDataset(scope, shape, num_classes)
    data = [data[i] for i in range(batch_size)]
    images = [x['inputs'].flip(0).to(get_device()) / 255 for x in data]
    target = read_labels(scope, [x['data_samples'] for x in data])
    mask = torch.rand(batch_size, 1, task.grid, task.grid) < 0.5
    memory, times = Memory(), []
    steps = reference.train(
        sr_net,
        task,
        repeat((images, target)),
        repeat(mask.to(get_device())),
        tdp_begin=0,
        periods=[args.warmup + args.iters],
    )
    for _ in range(args.warmup + args.iters):
        start = now()
        next(steps)
        times.append(now() - start)
    return dict(seconds=median(times[args.warmup :]), memory=memory.peak())


def build_reference(reference, scope: str, num_classes: int):
    """The paper's task network, as tests/reference.py trains it."""
    if scope == 'mmseg':
        segmentation = torchvision.models.segmentation
        network = segmentation.deeplabv3_mobilenet_v3_large(
            num_classes=num_classes,
            weights=None,
            weights_backbone=None,
            aux_loss=True,
        )
        kind = reference.Segmentation
    elif scope == 'mmdet':
        network = reference.build_faster_rcnn(num_classes=1 + num_classes)
        kind = reference.Detection
    else:
        network = torchvision.models.resnet18(num_classes=num_classes)
        kind = reference.Classification
    return kind(network.to(get_device()))


def read_labels(scope: str, samples: list):
    """As torchvision's networks take them."""
    samples = [sample.to(get_device()) for sample in samples]
    if scope == 'mmseg':
        return torch.cat([sample.gt_sem_seg.data for sample in samples])
    if scope == 'mmdet':
        return [
            dict(
                boxes=sample.gt_instances.bboxes,
                labels=1 + sample.gt_instances.labels,
            )
            for sample in samples
        ]
    return torch.cat([sample.gt_label for sample in samples])


@torch.no_grad()
def measure_prediction(path: str, args: argparse.Namespace) -> dict:
    """Images per second, of real LR images, one at a time: through the
    wrapper, and through its two networks called by hand."""
    cfg = load(path, args)
    cfg.model.input_is_lr = True
    *shape, _ = cfg.size
    lr_shape = [-(-side // cfg.model.scale) for side in shape]
    dataset = cfg.train_dataloader.dataset
    with TemporaryDirectory() as cfg.work_dir:
        model = Runner.from_cfg(cfg).model.eval()
    data = SyntheticDataset(cfg.default_scope, lr_shape, dataset.num_classes)

    def batch() -> dict:  # predictions are written to its samples
        return dict(inputs=[data[0]['inputs']], data_samples=[sample.clone()])

    sample = data[0]['data_samples']
    views = Views(model, **model.data_preprocessor(batch()))
    samples = model.task_samples(views)
    ways = dict(
        wrapper=lambda batch: model.test_step(batch),
        networks=lambda batch: predict_by_hand(model, batch, samples),
    )
    times = defaultdict(list)
    for _ in range(args.warmup + 5 * args.iters):
        for name, way in ways.items():
            one = batch()
            start = now()
            way(one)
            times[name].append(now() - start)
    return {name: 1 / median(t[args.warmup :]) for name, t in times.items()}


def predict_by_hand(model, batch: dict, samples: list) -> list:
    """What there is no way around, without a wrapper."""
    pre = model.image_space.data_preprocessor
    lr = torch.stack(batch['inputs']).to(get_device()).flip(1) / 255
    sr = model.sr_net(lr.contiguous(memory_format=torch.channels_last))
    inputs = (sr * 255 - pre.mean) / pre.std
    size, (height, width) = samples[0].img_shape, samples[0].pad_shape
    if model.image_space.resize:
        inputs = F.interpolate(inputs, size=size, mode='bilinear')
        inputs = F.pad(inputs, (0, width - size[1], 0, height - size[0]))
    return model.task_model.predict(inputs, samples)


def measure_loading(path: str, args: argparse.Namespace) -> dict:
    """Images per second. The first epoch fills caches."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.default_scope)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    num = len(loader.dataset)
    for _ in range(2):
        start = now()
        for _ in islice(loader, -(-num // loader.batch_size)):
            pass
        seconds = now() - start
    return dict(images=num, per_second=num / seconds)


def in_own_process(measure: Callable, *args) -> dict:
    """What one measurement leaves behind is no part of another."""
    with get_context('spawn').Pool(1) as pool:
        return pool.apply(measure, args)


def measure(path: str, args: argparse.Namespace) -> dict:
    """All that is asked for of a config."""
    if args.data:
        return dict(loading=measure_loading(path, args))
    figures = dict(ours=in_own_process(measure_training, path, args))
    if args.reference:
        figures['plain'] = in_own_process(measure_reference, path, args)
    if not args.no_predict:
        figures['predict'] = in_own_process(measure_prediction, path, args)
    return figures
