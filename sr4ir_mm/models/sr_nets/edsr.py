from typing import Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sr4ir_mm.compat import networks_alone
from sr4ir_mm.registry import MODELS

from ..pretrained import prefixes_off
from .edsr_files import edsr_options, edsr_weights

with networks_alone():
    from mmagic.models.editors import edsr

Weights = Tuple[Tensor, Tensor]  # of a convolution, and its bias


@MODELS.register_module()
class EDSRNet(edsr.EDSRNet):
    """mmagic's EDSR, whose last two convolutions are computed as one.

    Between them there is nothing but a pixel shuffle, so that together they
    are a single 5x5 convolution at half of the output's resolution, with 3 x 4
    output channels instead of 256 and 64: at x4 a quarter less work for the
    whole network, and no feature map of the size of the SR image. Weights,
    their names, results and gradients are mmagic's, up to rounding.

    Args:
        **kwargs: Those of mmagic's ``EDSRNet``.
    """

    # of `merge_tail`, while weights stay as they are
    tail: Optional[Tuple[Weights, Weights]] = None

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): RGB in [0, 1], (N, 3, h, w).

        Returns:
            Tensor: RGB around [0, 1], (N, 3, h * scale, w * scale).
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
