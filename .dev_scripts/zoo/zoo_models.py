"""What the sweep tries: a config of a family, made-up data, one iteration."""

import copy
import glob
import os.path as osp
import re
from importlib.util import find_spec
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData

from sr4ir_mm import models
from sr4ir_mm.apis.wrapping import WRAPPERS, wrap
from sr4ir_mm.engine import PhaseUpdate

Size = Tuple[int, int]
SR_NET = dict(
    type='sr4ir_mm.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=8,
    num_blocks=1,
    upscale_factor=4,
)
# Smallest first, by what is in a config's name.
SIZES = (
    r'nano|atto|femto|pico|xxs',
    r'tiny|[-_]t[-_]|mit-b0|[-_]b0|[-_]s0|[-_]d8_xs',
    r'r18|18[-_]|mobilenet|small|[-_]s[-_]|-t14|cspdarknet-s',
    r'r34|34[-_]|vgg11',
    r'r50|50|base|b16|p16',
)
LARGE = r'large|huge|giant|xlarge|101|152|x101|384px|448px|560px|640x640|r200'


def families(toolbox: str) -> Dict[str, List[str]]:
    """Config files of each family folder of a toolbox, smallest first."""
    package = osp.dirname(find_spec(toolbox).origin)
    root = osp.join(package, '.mim', 'configs')
    found = {}
    for folder in sorted(glob.glob(osp.join(root, '[a-z]*', ''))):
        files = glob.glob(osp.join(folder, '**', '*.py'), recursive=True)
        files = [f for f in files if '_base_' not in f and '/_' not in f]
        if files:
            found[osp.basename(osp.dirname(folder))] = sorted(files, key=_rank)
    return found


def _rank(path: str) -> tuple:
    name = osp.basename(path)
    sizes = [i for i, size in enumerate(SIZES) if re.search(size, name)]
    is_large = bool(re.search(LARGE, name))
    return is_large, min(sizes, default=len(SIZES)), len(name), path


def choose(toolbox: str, files: List[str]) -> Tuple[str, Config]:
    """The first config that trains a model of the toolbox's own task; without
    one, the first."""
    first = None
    for path in files[:12]:
        cfg = Config.fromfile(path)
        if cfg.get('default_scope') != toolbox or 'model' not in cfg:
            continue
        first = first or (path, cfg)
        if not other_task(cfg):
            return path, cfg
    return first or (files[0], Config.fromfile(files[0]))


def other_task(cfg: Config) -> Optional[str]:
    """Why a model is none of the toolbox's own task, if so."""
    if not cfg.get('optim_wrapper') or not cfg.get('default_scope'):
        return 'its configs are for others to build on: none trains'
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
        kind = registry.get(cfg.model.type)
    if kind is None:
        return None  # to be tried, which says that it is not there
    if not isinstance(kind, type):  # mmpretrain's, of what is not installed
        return f'{cfg.model.type} needs mmpretrain[multimodal]'
    expected = getattr(models, WRAPPERS[cfg.default_scope]).task_model_base
    bases = [base.__name__ for base in kind.__mro__]
    if expected not in bases:
        return f'{bases[0]} is no {expected}'
    if 'SemiBaseDetector' in bases:
        return f'{bases[0]} is semi-supervised: its batches have branches'
    return None


# ------------------------------------------------------------------- configs


def strip(node: Any) -> None:
    """Random weights, on the CPU: no file to fetch, no SyncBN."""
    if isinstance(node, dict):
        if node.get('type') in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'
        for key in list(node):
            if key.endswith('pretrained') or key == 'teacher_ckpt':
                node[key] = None
            elif key == 'init_cfg' and 'Pretrained' in repr(node[key]):
                node[key] = None
            else:
                strip(node[key])
    elif isinstance(node, (list, tuple)):
        for item in node:
            strip(item)


def without_amp(wrapper: dict) -> None:
    """Mixed precision needs a GPU."""
    if wrapper.get('type') == 'AmpOptimWrapper':
        wrapper['type'] = 'OptimWrapper'
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        wrapper.pop(key, None)


def find(node: Any, key: str) -> Iterator:
    """All values of a key, wherever it is."""
    return (part[key] for part in parts(node) if key in part)


def parts(node: Any) -> Iterator[dict]:
    """All dicts in a config."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from parts(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from parts(item)


def image_size(toolbox: str, cfg: Config) -> Size:
    """Small, unless the model expects a size."""
    fixed = [s for s in find(cfg.model, 'img_size') if s]
    fixed += [s for s in find(cfg.model, 'input_size') if s]
    if toolbox == 'mmseg':
        # built for small images: position embeddings have random weights
        for part in [cfg.model.get('data_preprocessor'), *parts(cfg.model)]:
            for key in ('img_size', 'size'):
                if part and part.get(key):
                    part[key] = (128, 128)
        return 128, 128
    if toolbox == 'mmdet':
        return _pair(fixed[0]) if fixed else (128, 160)
    crops = [
        t.get('scale') or t.get('crop_size')
        for t in cfg.get('train_pipeline', [])
        if re.search('Crop|Resize', str(t.get('type')))
    ]
    return _pair((fixed + [c for c in crops if c] + [64])[0])


def _pair(size) -> Size:
    return (size, size) if isinstance(size, int) else tuple(size)[:2]


# ---------------------------------------------------------------------- data


def make_batch(toolbox: str, cfg: Config, size: Size) -> dict:
    """Two made-up images with labels, as a data loader gives them."""
    channels = 1 if 'LeNet' in repr(cfg.model.get('backbone')) else 3
    make = dict(mmseg=_seg_sample, mmdet=_det_sample, mmpretrain=_cls_sample)
    inputs, samples = [], []
    for i in range(2):
        sample = make[toolbox](cfg, size)
        sample.set_metainfo(
            dict(
                img_shape=size,
                ori_shape=size,
                pad_shape=size,
                scale_factor=(1.0, 1.0),
                flip=False,
                flip_direction=None,
                border=np.array([0, size[0], 0, size[1]]),
                img_id=i,
                img_path=f'{i}.jpg',
            )
        )
        samples.append(sample)
        inputs.append(torch.randint(0, 256, (channels, *size)).byte())
    return dict(inputs=inputs, data_samples=samples)


def _num_classes(cfg: Config) -> int:
    """The fewest that any head knows: valid labels for all."""
    counts = [n for n in find(cfg.model, 'num_classes') if isinstance(n, int)]
    counts += [n for n in find(cfg.model, 'num_things_classes')]
    return min([n for n in counts if n > 1], default=2)


def _seg_sample(cfg: Config, size: Size):
    from mmseg.structures import SegDataSample

    ids = torch.randint(0, _num_classes(cfg), (1, *size))
    edges = torch.randint(0, 2, (1, *size))
    return SegDataSample(
        gt_sem_seg=PixelData(data=ids),
        gt_edge_map=PixelData(data=edges),
        gt_depth_map=PixelData(data=torch.rand(1, *size) + 1),
    )


def _det_sample(cfg: Config, size: Size):
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    height, width = size
    boxes = torch.tensor([[0.1, 0.1, 0.6, 0.7], [0.4, 0.3, 0.9, 0.95]])
    boxes = boxes * torch.tensor([width, height, width, height])
    masks = np.zeros((2, height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int()):
        mask[top:bottom, left:right] = 1
    instances = InstanceData(
        bboxes=boxes, labels=torch.randint(0, _num_classes(cfg), (2,))
    )
    loads = repr(cfg.get('train_dataloader'))  # RTMDet takes any masks it gets
    kinds = "'with_mask': True", 'LoadPanopticAnnotations', 'BoxInst'
    if any(kind in loads + repr(cfg.model) for kind in kinds):
        instances.masks = BitmapMasks(masks, height, width)
    sample = DetDataSample(
        gt_instances=instances,
        ignored_instances=instances[:0],
        gt_sem_seg=PixelData(sem_seg=torch.zeros(1, *size).long()),
        proposals=InstanceData(bboxes=boxes, scores=torch.ones(2)),
        gt_panoptic_seg=PixelData(pan_seg=torch.zeros(1, *size).long()),
    )
    sample.set_metainfo(
        dict(
            text='cat. dog. ',
            custom_entities=True,
            tokens_positive=[[[0, 3]], [[5, 8]]],
        )
    )
    return sample


def _cls_sample(cfg: Config, size: Size):
    from mmpretrain.structures import DataSample

    label = int(torch.randint(0, _num_classes(cfg), ()))
    is_multi = 'Multi' in repr(cfg.model.get('head', ''))
    return DataSample().set_gt_label([label] if is_multi else label)


# ----------------------------------------------------------------- iteration


class Stage:
    """How far a trial has come."""

    name = 'read'


def try_bare(toolbox: str, cfg: Config, stage: Stage) -> None:
    """One iteration and a prediction, as the toolbox does it."""
    batch = make_batch(toolbox, cfg, prepare(toolbox, cfg))
    stage.name = 'build'
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    stage.name = 'train'
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train().train_step(copy.deepcopy(batch), optim_wrapper)
    check_finite(log)
    stage.name = 'predict'
    with torch.no_grad():
        model.eval().test_step(batch)


def try_wrapped(toolbox: str, cfg: Config, stage: Stage) -> None:
    """One iteration and a prediction behind a small SR network."""
    size = prepare(toolbox, cfg)
    train_and_predict(toolbox, cfg, size, stage, SR_NET, 4)


def train_and_predict(
    toolbox: str,
    cfg: Config,
    size: Size,
    stage: Stage,
    sr_net: dict,
    scale: int,
) -> None:
    """An iteration of both phases, with TDP, and a prediction."""
    batch = make_batch(toolbox, cfg, size)
    cfg = wrap(cfg, sr_net, 'sr4ir', scale=scale)
    if scale == 1:
        cfg.model.degradation = dict(type='sr4ir_mm.GaussianBlur', std=1)
    if cfg.model.get('resize'):  # a little, instead of to 1333x800
        cfg.model.resize = tuple(side * 5 // 4 for side in size)
    stage.name = 'build'
    init_default_scope(toolbox)
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    stage.name = 'train'
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    views = model.train().make_views(copy.deepcopy(batch))
    model.rehearse(views)
    for phase in model.phases:
        wrappers = [optim_wrapper[name] for name in phase.trains]
        check_finite(PhaseUpdate(phase, wrappers)(model, views, 0.99))
    stage.name = 'predict'
    with torch.no_grad():
        samples = model.eval().test_step(batch)
    assert samples[0].pred_img.shape == batch['inputs'][0].shape


def check_finite(log: dict) -> None:
    for name, value in log.items():
        if 'loss' in name and not torch.isfinite(torch.as_tensor(value)).all():
            raise ValueError(f'{name} is {float(value)}')


def prepare(toolbox: str, cfg: Config) -> Size:
    """Make a config runnable here; returns the size of its images."""
    torch.manual_seed(0)
    np.random.seed(0)
    init_default_scope(cfg.default_scope)
    progress = dict(iter=0, max_iters=10, epoch=0, max_epochs=2)
    for key, value in progress.items():  # as in a runner
        MessageHub.get_current_instance().update_info(key, value)
    if cfg.get('data_preprocessor') and 'data_preprocessor' not in cfg.model:
        cfg.model.data_preprocessor = cfg.data_preprocessor
    strip(cfg.model)
    if cfg.get('optim_wrapper'):
        without_amp(cfg.optim_wrapper)
    return image_size(toolbox, cfg)
