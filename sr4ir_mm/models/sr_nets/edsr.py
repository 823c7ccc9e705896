from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, kaiming_init
from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..pretrained import prefixes_off
from .edsr_files import DIV2K_MEAN, edsr_options, edsr_weights

Weights = Tuple[Tensor, Tensor]  # of a convolution, and its bias


def _initialize(conv: nn.Conv2d, factor: float = 1) -> None:
    """As mmagic does, from the same random numbers."""
    kaiming_init(conv, mode='fan_in')
    conv.weight.data *= factor


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, res_scale: float) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        if res_scale == 1:
            _initialize(self.conv1, 0.1)
            _initialize(self.conv2, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        change = self.conv2(F.relu(self.conv1(x), inplace=True))
        return torch.add(x, change, alpha=self.res_scale)


class _Enlargement(nn.Module):
    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.scale_factor = factor
        self.upsample_conv = nn.Conv2d(
            channels, channels * factor**2, 3, padding=1
        )
        _initialize(self.upsample_conv)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), self.scale_factor)


@MODELS.register_module()
class EDSRNet(BaseModule):
    """EDSR, whose last two convolutions are computed as one.

    Lim et al., "Enhanced deep residual networks for single image
    super-resolution" (CVPRW 2017, https://arxiv.org/abs/1707.02921).
    Arguments, weights, their names and order, the first random ones, results
    and gradients (up to rounding) are those of mmagic 1.2.0: files fit both.
    ``mmagic.EDSRNet`` in a config is this class, too, whether mmagic is
    installed or not.

    Between the last convolutions there is nothing but a pixel shuffle, so that
    together they are a single 5x5 convolution at half of the output's
    resolution, with 3 x 4 output channels instead of 256 and 64: at x4 a
    quarter less work for the whole network, and no feature map of the size of
    the SR image.

    Args:
        in_channels (int): Channels of the LR image.
        out_channels (int): Of the SR image: as many.
        mid_channels (int): Defaults to 64.
        num_blocks (int): Number of residual blocks. Defaults to 16.
        upscale_factor (int): 3, or a power of 2. Defaults to 4.
        res_scale (float): Factor of what a block adds. The blocks of 1 begin
            with small random weights. Defaults to 1.
        rgb_mean (Sequence[float], optional): Of the images, in [0, 1], one
            number for each channel; the network sees it as 0. Defaults to that
            of DIV2K for RGB, and to the mean of its three for other images:
            what is known of no band lies in the middle sooner than at 0.
        rgb_std (Sequence[float], optional): By which the rest is divided.
            Defaults to 1.
    """

    # of `merge_tail`, while weights stay as they are
    tail: Optional[Tuple[Weights, Weights]] = None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int = 64,
        num_blocks: int = 16,
        upscale_factor: int = 4,
        res_scale: float = 1,
        rgb_mean: Optional[Sequence[float]] = None,
        rgb_std: Optional[Sequence[float]] = None,
    ) -> None:
        super().__init__()
        if rgb_mean is None:
            rgb_mean = DIV2K_MEAN
            if in_channels != len(DIV2K_MEAN):
                rgb_mean = [sum(DIV2K_MEAN) / len(DIV2K_MEAN)] * in_channels
        std = [1.0] * in_channels if rgb_std is None else rgb_std
        if not len(rgb_mean) == len(std) == in_channels == out_channels:
            raise ValueError(
                f'EDSRNet: in_channels={in_channels}, out_channels='
                f'{out_channels}, rgb_mean={rgb_mean}, rgb_std={std}: '
                'expected as many numbers as channels, in and out.'
            )
        for name, value in dict(mean=rgb_mean, std=std).items():
            value = torch.tensor(value).view(1, -1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.conv_first = nn.Conv2d(in_channels, mid_channels, 3, padding=1)
        blocks = [
            _ResidualBlock(mid_channels, res_scale) for _ in range(num_blocks)
        ]
        self.body = nn.Sequential(*blocks)
        self.conv_after_body = nn.Conv2d(
            mid_channels, mid_channels, 3, padding=1
        )
        stages = [
            _Enlargement(mid_channels, factor)
            for factor in enlargements(upscale_factor)
        ]
        self.upsample = nn.Sequential(*stages)
        self.conv_last = nn.Conv2d(mid_channels, out_channels, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): Images in [0, 1], (N, C, h, w).

        Returns:
            Tensor: Images around [0, 1], (N, C, h * scale, w * scale).
        """
        mean, std = self.mean.to(lr), self.std.to(lr)
        shallow = self.conv_first((lr - mean) / std)
        x = self.conv_after_body(self.body(shallow)) + shallow
        *stages, last = self.upsample
        for stage in stages:
            x = stage(x)
        if torch.jit.is_tracing() and self.tail is None:
            # FLOPs are counted of the network as it is defined
            sr = self.conv_last(last(x))
        else:
            tail = self.tail or self.merge_tail()
            sr = conv_shuffle_conv(
                x, last.upsample_conv, *tail, last.scale_factor
            )
        return sr * std + mean

    def merge_tail(self) -> Tuple[Weights, Weights]:
        """:func:`merge` of the last two convolutions."""
        last = self.upsample[-1]
        return merge(last.upsample_conv, self.conv_last, last.scale_factor)

    def read_weights(self, weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """EDSR's weights as they are here, whoever wrote them; others as they
        are."""
        for candidate in prefixes_off(weights):
            if edsr_options(candidate) is not None:
                return edsr_weights(candidate)
        return weights


def enlargements(scale: int) -> List[int]:
    """The pixel shuffles, one behind the other, that enlarge by ``scale``."""
    if scale == 3:
        return [3]
    if scale < 2 or scale & (scale - 1):
        raise ValueError(
            f'The scale of the SR network is {scale}: expected 3, or a power '
            'of 2.'
        )
    return [2] * (scale.bit_length() - 1)


def merge(first, last, factor: int) -> Tuple[Weights, Weights]:
    """One convolution for two that have a pixel shuffle between them.

    Args:
        first, last (nn.Conv2d): 3x3, padded by 1 with zeros.
        factor (int): Of the pixel shuffle.

    Returns:
        tuple: Weights of what does the same as ``last`` before the shuffle,
        3x3, and of ``first`` and this one as one, 5x5.
    """
    # Half precision is for the images, not for the making of weights.
    with torch.autocast(last.weight.device.type, enabled=False):
        unshuffled = _before_shuffle(last.weight, last.bias, factor)
        return unshuffled, _merge(first.weight, first.bias, *unshuffled)


def conv_shuffle_conv(
    x: Tensor, first, unshuffled: Weights, merged: Weights, factor: int
) -> Tensor:
    """A convolution, a pixel shuffle by ``factor``, another convolution.

    Args:
        x (Tensor): Features, (N, C, h, w), of any size.
        first (nn.Conv2d): 3x3, padded by 1 with zeros.
        unshuffled, merged (tuple[Tensor, Tensor]): Of :func:`merge`.
        factor (int): Of the pixel shuffle.

    Returns:
        Tensor: (N, out, h * factor, w * factor).
    """

    def both(x: Tensor) -> Tensor:
        x = F.conv2d(x, first.weight, first.bias, padding=1)
        return F.conv2d(x, *unshuffled, padding=1)

    # `last` sees zeros outside of the image, the merged convolution what
    # `first` would make of what is outside. So the rim is computed in two
    # steps, of the three rows (columns) that it depends on. A trace is of
    # images of any size: a row that is the only one is the first, no last.
    num = x.shape[0]
    rows = both(torch.cat([x[:, :, :3], x[:, :, -3:]]))
    top, low = rows[:num, :, :1], rows[num:, :, 1:][:, :, -1:]
    cols = both(torch.cat([x[..., :3], x[..., -3:]]))[:, :, 1:-1]
    left, right = cols[:num, ..., :1], cols[num:, ..., 1:][..., -1:]
    inner = F.conv2d(x, *merged, padding=2)[:, :, 1:-1, 1:-1]
    inner = torch.cat([left, inner, right], dim=3)
    out = torch.cat([top, inner, low], dim=2)
    return F.pixel_shuffle(out, factor)


def _before_shuffle(weight: Tensor, bias: Tensor, factor: int) -> Weights:
    """What does to the pixels before a shuffle as much as a 3x3 convolution
    does to those after it: also 3x3, with ``factor ** 2`` times as many
    channels on both sides."""
    shifted = [
        F.pixel_unshuffle(
            F.pad(
                weight,
                (
                    factor - 1 + col,
                    2 * factor - 2 - col,
                    factor - 1 + row,
                    2 * factor - 2 - row,
                ),
            ),
            factor,
        )
        for row in range(factor)
        for col in range(factor)
    ]
    return (
        torch.stack(shifted, dim=1).flatten(0, 1),
        # as `repeat_interleave`, of which torch.compile makes a view, and
        # then refuses it as a bias
        torch.stack([bias] * factor**2, dim=1).flatten(),
    )


def _merge(
    first: Tensor, first_bias: Tensor, last: Tensor, last_bias: Tensor
) -> Weights:
    """Two 3x3 convolutions as one of 5x5."""
    return (
        F.conv_transpose2d(last, first),
        last_bias + torch.einsum('omhw,m->o', last, first_bias),
    )
