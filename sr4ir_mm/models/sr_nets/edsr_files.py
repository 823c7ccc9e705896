"""EDSR's weights as others write them."""

import re
from typing import Dict, Optional

import torch
from torch import Tensor

# EDSR-PyTorch's and BasicSR's names, and ours, which are mmagic's.
_NAMES = (
    (r'^head\.0\.', 'conv_first.'),
    (r'^body\.(\d+)\.body\.0\.', r'body.\1.conv1.'),
    (r'^body\.(\d+)\.body\.2\.', r'body.\1.conv2.'),
    (r'^body\.\d+\.(?=weight|bias)', 'conv_after_body.'),
    (r'^tail\.0\.', 'upsample.'),
    (r'^tail\.1\.', 'conv_last.'),
)
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # in [0, 1]
_RANGE = 255  # in which both compute, unless a file says otherwise
# The large EDSR damps its branches; no file says so.
_LARGE, _RES_SCALE = 256, 0.1


def edsr_options(weights: Dict[str, Tensor]) -> Optional[dict]:
    """Arguments of ``EDSRNet`` for some weights.

    Args:
        weights (dict): By the names of EDSR-PyTorch, BasicSR or mmagic.

    Returns:
        dict, optional: None if they are not EDSR's.
    """
    shapes = {k: tuple(v.shape) for k, v in edsr_weights(weights).items()}
    stage = 'upsample.{}.upsample_conv.weight'
    parts = ('conv_first', 'body.0.conv1', 'body.0.conv2', 'conv_after_body')
    wanted = [f'{name}.weight' for name in (*parts, 'conv_last')]
    if not all(name in shapes for name in (*wanted, stage.format(0))):
        return None
    width, in_channels = shapes['conv_first.weight'][:2]
    num_blocks = scale = 1
    while f'body.{num_blocks}.conv1.weight' in shapes:
        num_blocks += 1
    for name in (stage.format(i) for i in range(len(shapes))):
        if name not in shapes:
            break
        scale *= round((shapes[name][0] / width) ** 0.5)
    options = dict(
        in_channels=in_channels,
        out_channels=shapes['conv_last.weight'][0],
        mid_channels=width,
        num_blocks=num_blocks,
        upscale_factor=scale,
    )
    return dict(options, res_scale=_RES_SCALE) if width == _LARGE else options


def edsr_weights(weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """EDSR's weights by mmagic's names, for RGB in [0, 1].

    EDSR-PyTorch and BasicSR compute in [0, 255]: what lies between the mean
    shifts are convolutions, ReLU and sums, so that all biases are as many
    times smaller in [0, 1], and the weights the same.

    Args:
        weights (dict): By anybody's names.

    Returns:
        dict: The same, if they are mmagic's, or not EDSR's.
    """
    if not {'head.0.weight', 'upsample.0.weight'} & set(weights):
        return weights
    found = {}
    for name, value in weights.items():
        for theirs, ours in _NAMES:
            name = re.sub(theirs, ours, name)
        # every other layer shuffles pixels
        stage = re.match(r'upsample\.(\d+)\.(weight|bias)$', name)
        if stage:
            number = int(stage[1]) // 2
            name = f'upsample.{number}.upsample_conv.{stage[2]}'
        found[name] = value
    levels = _range(found.pop('sub_mean.bias', None))
    for name in ('sub_mean.weight', 'add_mean.weight', 'add_mean.bias'):
        found.pop(name, None)
    return {
        name: value / levels if name.endswith('.bias') else value
        for name, value in found.items()
    }


def _range(shift: Optional[Tensor]) -> float:
    """The largest value of images whose mean is subtracted so."""
    if shift is None:
        return _RANGE
    mean = torch.tensor(DIV2K_MEAN)
    levels = -float(shift.float().sum() / mean.sum())
    if not torch.allclose(-shift.float(), levels * mean, rtol=1e-3):
        raise ValueError(
            f'sub_mean.bias={[round(x, 4) for x in shift.tolist()]} is no '
            f'multiple of the mean of DIV2K, {DIV2K_MEAN}, which our EDSR '
            'subtracts.'
        )
    return levels
