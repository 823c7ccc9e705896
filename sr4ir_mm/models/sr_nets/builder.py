import copy
from functools import partial
from typing import Optional

import torch
import torch.nn as nn
from mmengine.model import initialize
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sr4ir_mm.registry import MODELS, require_package
from sr4ir_mm.utils.bands import PICTURES, Bands

from ..band_networks import RGB, take_rgb_mean, take_rgb_weights
from ..lending import Lender
from .spandrel import CHANNELS, Spandrel, by_name, channel_keys

# Networks that are here, too, as configs and checkpoints name mmagic's.
_OURS = {
    f'mmagic.{name}': f'sr4ir_mm.{name}' for name in ('EDSRNet', 'SwinIRNet')
}


def build_sr_net(
    cfg: Optional[dict], bands: Bands = PICTURES
) -> Optional[nn.Module]:
    """Build an SR network for images of some bands. ``in_channels`` and the
    like become their number.

    EDSR and SwinIR are ours, also if they are called mmagic's, which may be
    installed or not: so a config, an old one too, means the same everywhere.
    ``init_cfg`` is seen to here, since networks of mmagic refuse it, ignore
    it, or have no ``init_weights``; so is ``with_cp``, OpenMMLab's name of
    activation checkpointing.
    """
    if cfg is None:
        return None
    cfg = copy.deepcopy(by_name(cfg))  # LIIF writes into it
    init_cfg = cfg.pop('init_cfg', None)
    with_cp = cfg.pop('with_cp', False)
    kind = cfg.get('type')
    cfg['type'] = kind = _OURS.get(kind, kind)
    if str(kind).startswith('mmagic.'):
        require_package('mmagic', kind)
        cfg.setdefault('_scope_', 'mmagic')  # for networks inside of it
    is_changed = set_channels(cfg, bands)
    network = MODELS.build(cfg)
    network.init_cfg, network.with_cp = init_cfg, with_cp
    if bands.number != RGB:
        take_rgb_weights(network, bands, 'model.sr_net', makes_images=True)
        if is_changed:
            for_rgb = dict.fromkeys(channel_keys(cfg), RGB)
            take_rgb_mean(network, MODELS.build({**cfg, **for_rgb}))
        if isinstance(network, Spandrel):
            network.check_bands(bands.number)
    if init_cfg is not None:
        network.init_weights = partial(initialize, network, init_cfg)
    return network


def set_channels(cfg: dict, bands: Bands) -> bool:
    """Have an SR network read and make images of some bands.

    Returns:
        bool: Whether it is one for RGB otherwise.

    Raises:
        ValueError: If it is meant for others, or takes no number of them.
    """
    keys = channel_keys(cfg)
    for key in keys:
        if cfg.get(key, RGB) not in (RGB, bands.number):
            raise ValueError(
                f'model.sr_net.{key}={cfg[key]}: SR networks read and make '
                f'images, of {bands.number} channels (model.bands; not set, '
                'RGB).'
            )
    if not keys and bands.number != RGB:
        kind = cfg.get('arch', cfg.get('type'))
        raise ValueError(
            f'model.sr_net={kind}, and model.bands.number={bands.number}: it '
            'has none of the arguments by which networks take other channels '
            f'than RGB ({", ".join(CHANNELS)}). EDSRNet has.'
        )
    is_changed = any(cfg.get(key, RGB) != bands.number for key in keys)
    cfg.update(dict.fromkeys(keys, bands.number))
    return is_changed


def super_resolve(
    network: nn.Module, lr: Tensor, lender: Lender, **kwargs
) -> Tensor:
    """Run an SR network.

    Args:
        network (nn.Module): The network.
        lr (Tensor): RGB in [0, 1], (N, 3, h, w).
        lender (Lender): Keeps it as it is.
        **kwargs: What else the network is told.

    Returns:
        Tensor: What it makes of it.

    Raises:
        ValueError: If it takes or gives something else than images.
    """
    expected = (
        f'model.sr_net={type(network).__name__}: an SR network takes a batch '
        'of images, RGB (N, 3, h, w), and returns it larger, as one tensor'
    )
    advice = (
        'Networks for video, with a reference image or of faces do not; '
        'coordinate networks go into sr4ir_mm.LIIF.'
    )

    def run(lr: Tensor) -> Tensor:
        with lender.lend(network, lr) as lent:
            return network(lent, **kwargs)

    if getattr(network, 'with_cp', False) and torch.is_grad_enabled():
        # its own maps are made again, of LR as it was, when those of the task
        # model, which lie behind it, are gone
        run = partial(checkpoint, run, use_reentrant=False)
    try:
        sr = run(lr)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f'{expected}. This one fails ({error}). {advice}'
        ) from error
    if not isinstance(sr, Tensor):
        raise ValueError(
            f'{expected}. This one returns a {type(sr).__name__}. {advice}'
        )
    return sr
