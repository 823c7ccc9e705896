"""Pre-trained weights fit, or somebody is told."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from tiny import SR_NET, TASKS, build_model, snapshot

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
    with pytest.raises(ValueError, match=rf'a.pth: 0 of \d+ tensors.*{text}'):
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


def test_a_backbone_that_loads_by_itself(tmp_path):
    """mmseg's Swin reads its file, and hands it over itself."""
    swin = dict(
        type='SwinTransformer',
        embed_dims=8,
        depths=(1, 1),
        num_heads=(1, 1),
        strides=(4, 2),
        out_indices=(0, 1),
        window_size=4,
    )
    network = dict(TASKS['seg']['model'], backbone=swin)
    network['decode_head'] = dict(network['decode_head'], in_channels=16)
    source = build_model(task_model=network).task_model.backbone
    weights = source.state_dict()
    swin['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'a.pth')
    )
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    build_model(task_model=network).init_weights()
    other = {f'x{name}': value for name, value in weights.items()}
    torch.save(dict(state_dict=other), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'0 of \d+ tensors of SwinTransf'):
        build_model(task_model=network).init_weights()
