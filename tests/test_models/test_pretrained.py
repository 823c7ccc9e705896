"""Pre-trained weights fit, or somebody is told."""

import logging
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import load_state_dict
from mmseg.models.backbones import vit
from tiny import SR_NET, TASKS, build_model, model_cfg, snapshot
from torch import nn

from sr4ir_mm.apis import init_model
from sr4ir_mm.cli import load_network
from sr4ir_mm.models.losses.frozen_network import load_frozen
from sr4ir_mm.registry import MODELS

PREFIXES = ['', 'module.', 'generator.', 'sr_net.', 'module.generator.']
WRAPS = dict(
    bare=lambda weights: weights,
    params=lambda weights: dict(params=weights),
    params_ema=lambda weights: dict(params=dict(), params_ema=weights),
    state_dict=lambda weights: dict(state_dict=weights, meta=dict()),
    model=lambda weights: dict(model=weights, epoch=3),
    nested=lambda weights: dict(model=dict(state_dict=weights)),
)


def sr_net_from(path, **kwargs):
    init_cfg = dict(type='Pretrained', checkpoint=str(path), **kwargs)
    model = build_model(seed=1, sr_net=dict(SR_NET, init_cfg=init_cfg))
    model.init_weights()
    return model.sr_net


@pytest.mark.parametrize('prefix', PREFIXES)
@pytest.mark.parametrize('wrap', WRAPS)
def test_weights_are_unwrapped(tmp_path, wrap, prefix):
    expected = snapshot(build_model(seed=2).sr_net)
    weights = {f'{prefix}{name}': value for name, value in expected.items()}
    torch.save(WRAPS[wrap](weights), tmp_path / 'a.pth')
    loaded = sr_net_from(tmp_path / 'a.pth').state_dict()
    assert all(torch.equal(loaded[k], expected[k]) for k in expected)


def test_the_networks_of_a_checkpoint_of_ours(tmp_path):
    source = build_model(seed=2)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'a.pth')
    expected = snapshot(source.sr_net)
    for kwargs in (dict(), dict(prefix='sr_net'), dict(prefix='sr_net.')):
        loaded = sr_net_from(tmp_path / 'a.pth', **kwargs).state_dict()
        assert all(torch.equal(loaded[k], expected[k]) for k in expected)


@pytest.mark.parametrize(
    'weights, text',
    [
        ({'other.weight': torch.ones(3)}, 'the file has other.weight'),
        ({}, 'the file has nothing'),
    ],
)
def test_nothing_fits(tmp_path, weights, text):
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    where = r'model\.sr_net\.init_cfg\.checkpoint=\S+a\.pth: 0 of \d+ tensors'
    with pytest.raises(ValueError, match=f'{where}.*{text}'):
        sr_net_from(tmp_path / 'a.pth')


def test_weights_of_another_size(tmp_path):
    wide = build_model(sr_net=dict(SR_NET, mid_channels=8)).sr_net
    torch.save(dict(state_dict=wide.state_dict()), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth: . of .* tensors'):
        sr_net_from(tmp_path / 'a.pth')


@pytest.fixture
def warnings(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize('task', TASKS)
def test_a_part_is_counted(tmp_path, task, warnings):
    """As where a backbone has other names, or heads have other classes."""
    source = build_model(task, seed=2).task_model
    weights = {
        name: value
        for name, value in source.state_dict().items()
        if name.startswith('backbone.')
    }
    torch.save(weights, tmp_path / 'a.pth')
    network = dict(
        TASKS[task]['model'],
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth')),
    )
    model = build_model(task, seed=1, task_model=network)
    model.init_weights()
    loaded = model.task_model.state_dict()
    assert all(torch.equal(loaded[k], weights[k]) for k in weights)
    (record,) = [
        record
        for record in warnings.records
        if record.levelno == logging.WARNING and 'a.pth' in record.message
    ]
    given = sum(not k.endswith('num_batches_tracked') for k in weights)
    every = sum(not k.endswith('num_batches_tracked') for k in loaded)
    assert f'{given} of {every} tensors' in record.message
    renamed = {k.replace('backbone', 'trunk'): v for k, v in weights.items()}
    torch.save(renamed, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='0 of .* it wants backbone'):
        build_model(task, seed=1, task_model=network).init_weights()


SWIN = dict(
    type='SwinTransformer',
    embed_dims=8,
    depths=(1, 1),
    num_heads=(1, 1),
    strides=(4, 2),
    out_indices=(0, 1),
    window_size=4,
)
VIT = dict(
    type='VisionTransformer',
    img_size=32,
    embed_dims=16,
    num_layers=1,
    num_heads=1,
    out_indices=(0,),
)


@pytest.mark.parametrize('backbone', [SWIN, VIT])
def test_a_backbone_that_loads_by_itself(tmp_path, backbone):
    """mmseg's Swin reads its file, and hands it over itself, to PyTorch; its
    ViT to mmengine."""
    backbone = dict(backbone)
    network = dict(TASKS['seg']['model'], backbone=backbone)
    network['decode_head'] = dict(network['decode_head'], in_channels=16)
    source = build_model(task_model=network).task_model.backbone
    weights = source.state_dict()
    backbone['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'a.pth')
    )
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    build_model(task_model=network).init_weights()
    other = {f'x{name}': value for name, value in weights.items()}
    torch.save(dict(state_dict=other), tmp_path / 'a.pth')
    text = rf'task_model\.backbone\.init.*a\.pth: 0 of .* {backbone["type"]}'
    with pytest.raises(ValueError, match=text):
        build_model(task_model=network).init_weights()
    # nothing of others stays replaced
    assert vit.load_state_dict is load_state_dict
    assert nn.Module.load_state_dict.__module__ == 'torch.nn.modules.module'


def test_a_file_of_a_deeper_network(tmp_path, warnings):
    deep = build_model(sr_net=dict(SR_NET, num_blocks=3)).sr_net
    torch.save(deep.state_dict(), tmp_path / 'a.pth')
    sr_net_from(tmp_path / 'a.pth')
    assert (
        "14 of 14 tensors of EDSRNet are loaded; 8 of the file's are not"
        in (warnings.text)
    )


def test_a_file_without_names(tmp_path):
    torch.save([torch.ones(2)], tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth holds a list, not weights'):
        sr_net_from(tmp_path / 'a.pth')


@pytest.mark.parametrize('prefix', [*PREFIXES, 'module.sr_net.'])
@pytest.mark.parametrize('wrap', ['bare', 'params_ema', 'state_dict'])
def test_the_sr_network_of_a_test(tmp_path, wrap, prefix):
    """tools/test.py --sr-net"""
    expected = snapshot(build_model(seed=2).sr_net)
    weights = {f'{prefix}{name}': value for name, value in expected.items()}
    torch.save(WRAPS[wrap](weights), tmp_path / 'a.pth')
    model = build_model(seed=1)
    load_network(model, 'sr_net', str(tmp_path / 'a.pth'))
    loaded = model.sr_net.state_dict()
    assert all(torch.equal(loaded[k], expected[k]) for k in expected)


@pytest.mark.parametrize(
    'change, meta, text',
    [
        (dict(num_blocks=2), {}, '14 of 14 .*; 4 of the file.* another netw'),
        (dict(upscale_factor=2), {}, '12 of 14 .* of another network'),
        (dict(mid_channels=8), {}, '1 of 14 .*it wants'),
        (dict(), dict(scale=2), 'trained for scale 2, but model.scale=4'),
    ],
)
def test_another_sr_network_of_a_test(tmp_path, change, meta, text):
    other = MODELS.build(dict(SR_NET, type='sr4ir_mm.EDSRNet', **change))
    file = dict(state_dict=other.state_dict(), meta=meta)
    torch.save(file, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=f'a.pth.*{text}'):
        load_network(build_model(), 'sr_net', str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('prefix', ['', 'module.', 'module.task_model.'])
def test_a_teacher(tmp_path, prefix, warnings):
    expected = snapshot(build_model(seed=2).task_model)
    weights = {f'{prefix}{name}': value for name, value in expected.items()}
    path, key = str(tmp_path / 'a.pth'), 'FixedTDPLoss.checkpoint'
    torch.save(dict(state_dict=weights), path)
    loaded = load_frozen(build_model().task_model, path, key).state_dict()
    assert all(torch.equal(loaded[k], expected[k]) for k in expected)
    assert 'WARNING' not in warnings.text
    for name in [name for name in weights if 'conv_seg' in name]:
        weights[name] = weights[name][:3]  # of 5 classes
    torch.save(dict(state_dict=weights), path)
    load_frozen(build_model().task_model, path, key)
    assert f'{key}={path}: 55 of 57 tensors of EncoderDecoder' in warnings.text
    torch.save(dict(state_dict={'x.y': torch.ones(2)}), path)
    with pytest.raises(ValueError, match=rf'{key}=.*: 0 of .* file has x\.y'):
        load_frozen(build_model().task_model, path, key)


@pytest.mark.parametrize('value', [math.inf, -math.inf])
def test_what_is_infinite_is_named_wherever_it_is_loaded(tmp_path, value):
    """NaN is refused when the file is read: masks may be infinite, weights
    not."""
    source = build_model()
    source.sr_net.conv_first.bias.data[1] = value
    path = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=source.state_dict()), path)
    task_model = dict(
        TASKS['seg']['model'],
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    build_model(task_model=task_model).init_weights()  # of the other network
    text = 'a.pth.* is refused: 1 tensors .*infinite, first .*conv_first.bias'
    config = Config(dict(model=model_cfg(), default_scope='mmseg'))
    for load in (
        lambda: sr_net_from(path),
        lambda: sr_net_from(path, prefix='sr_net'),
        lambda: load_network(build_model(), 'sr_net', path),
        lambda: init_model(path, config, 'cpu'),
    ):
        with pytest.raises(ValueError, match=text):
            load()
