"""Each network has the optimizer that its own toolbox builds for it."""

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from tiny import build_model

from sr4ir_mm.apis import wrap

SMALL_SR_NET = dict(
    type='sr4ir_mm.EDSRNet',
    in_channels=3,
    out_channels=3,
    mid_channels=4,
    num_blocks=1,
    upscale_factor=4,
)
SMALL_VIT = dict(
    embed_dims=16, num_layers=12, num_heads=2, feedforward_channels=16
)
SMALL_CONVNEXT = dict(depths=[3, 3, 9, 3], channels=[4, 8, 16, 32])
# Layer-wise decay, in both toolboxes that have it; narrower, but as deep.
LAYER_WISE = [
    (
        'mmpretrain::beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py',
        dict(backbone=dict(arch=SMALL_VIT), head=dict(in_channels=16)),
    ),
    (
        'mmpretrain::spark/benchmarks/convnextv2-tiny_8xb256-coslr-300e_in1k'
        '.py',
        dict(backbone=dict(arch=SMALL_CONVNEXT), head=dict(in_channels=32)),
    ),
    (
        'mmseg::beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py',
        dict(
            backbone=dict(embed_dims=24, img_size=(64, 64)),
            neck=dict(embed_dim=24),
            decode_head=dict(channels=4),
            auxiliary_head=dict(channels=4),
        ),
    ),
    (
        'mmseg::convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512'
        '.py',
        dict(decode_head=dict(channels=4), auxiliary_head=dict(channels=4)),
    ),
]


def settings(network, optim_wrapper):
    """Rate, decay and all else of the group that a parameter is in."""
    names = {p: name for name, p in network.named_parameters()}
    return {
        names[p]: {k: v for k, v in group.items() if k != 'params'}
        for group in optim_wrapper.optimizer.param_groups
        for p in group['params']
    }


def build(cfg):
    init_default_scope(cfg.default_scope)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


@pytest.mark.parametrize('path,smaller', LAYER_WISE)
def test_layer_wise_decay_is_that_of_the_bare_model(path, smaller):
    bare = Config.fromstring(f'_base_ = {path!r}', '.py')
    for part, options in smaller.items():
        bare.model[part].update(options)
    bare.model.backbone.pop('init_cfg', None)
    bare.optim_wrapper.pop('loss_scale', None)
    bare.optim_wrapper.type = 'OptimWrapper'  # mixed precision needs a GPU
    wrapped = wrap(Config(bare.to_dict()), SMALL_SR_NET)
    constructor = wrapped.optim_wrapper.task_model.constructor
    assert 'Decay' in constructor
    expected = settings(*build(bare))
    model, optim_wrapper = build(wrapped)
    found = settings(model.task_model, optim_wrapper['task_model'])
    assert found == expected
    assert len({s['lr'] for s in found.values()}) >= 5
    sr_net = settings(model.sr_net, optim_wrapper['sr_net'])
    assert {s['lr'] for s in sr_net.values()} == {1e-4}


def test_unknown_network():
    cfg = dict(optimizer=dict(type='SGD', lr=1))
    with pytest.raises(ValueError, match='optim_wrapper.generator.*sr_net'):
        build_optim_wrapper(
            build_model(),
            dict(
                constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
                generator=cfg,
            ),
        )
    with pytest.raises(ValueError, match='paramwise_cfg belongs to one'):
        build_optim_wrapper(
            build_model(),
            dict(
                constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
                task_model=cfg,
                paramwise_cfg=dict(norm_decay_mult=0),
            ),
        )
