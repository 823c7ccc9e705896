"""The sweep's SR networks: those of mmagic, in front of a small segmentor."""

import os.path as osp
import time
from typing import Dict, List

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from zoo_models import Stage, strip, train_and_predict
from zoo_models import families as all_families
from zoo_sweep import in_process

# Families whose `model.generator` makes images better, from images.
RESTORERS = (
    'basicvsr basicvsr_pp dic edsr edvr esrgan glean iconvsr liif nafnet rdn '
    'real_basicvsr real_esrgan restormer srcnn srgan_resnet swinir tdan tof '
    'ttsr'
).split()
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
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(0, 1),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=8,
        in_index=-1,
        channels=4,
        num_convs=1,
        num_classes=5,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)


def families(toolbox: str) -> Dict[str, List[str]]:
    """Config files of mmagic's restorers."""
    found = all_families(toolbox)
    return {name: found[name] for name in RESTORERS if name in found}


def try_network(
    toolbox: str, files: List[str], seconds: int, memory: float
) -> dict:
    """The result of a family, like that of `try_family`."""

    def wrapped(result: dict) -> None:
        stage, begin = Stage(), time.process_time()
        try:
            path, sr_net, scale = _choose(files)
            result['config'] = path.partition('.mim/configs/')[2]
            result['model'] = sr_net.get('network', sr_net)['type']
            _try(sr_net, scale, stage)
        finally:
            result['stage'] = stage.name
            result['seconds'] = round(time.process_time() - begin, 1)

    def bare(result: dict) -> None:
        _, sr_net, _ = _choose(files)
        init_default_scope('mmagic')
        network = MODELS.build(sr_net)
        network(torch.rand(1, 3, *_lr_size(sr_net)))

    result = in_process(wrapped, seconds, memory)
    if 'error' in result:
        result['bare'] = in_process(bare, seconds, memory)
        if 'an SR network takes' in result['error']:
            result['other_task'] = 'it takes or gives something else than one '
            result['other_task'] += 'image, as the error says'
    return result


def _choose(files: List[str]) -> tuple:
    """Of the configs for colour images, that of the shortest name."""
    files = [f for f in files if 'gray' not in f]
    path = min(files, key=lambda f: (len(osp.basename(f)), f))
    cfg = Config.fromfile(path)
    sr_net = dict(cfg.model.generator)
    strip(sr_net)
    scale = cfg.get('scale', sr_net.get('upscale', 1))
    sr_net['type'] = f'mmagic.{sr_net["type"]}'
    if 'LIIF' in sr_net['type']:
        scale = 3
        sr_net = dict(type='sr4ir_mm.LIIF', network=sr_net, scale=scale)
    return path, sr_net, scale


def _lr_size(sr_net: dict) -> tuple:
    """Networks for faces take one size."""
    if sr_net['type'] == 'mmagic.DICNet':
        return 16, 16
    side = sr_net.get('in_size')
    return (side, side) if side else (24, 32)


def _try(sr_net: dict, scale: int, stage: Stage) -> None:
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=SEGMENTOR,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=1),
        )
    )
    size = tuple(side * scale for side in _lr_size(sr_net))
    train_and_predict('mmseg', cfg, size, stage, sr_net, scale)
