import torch.nn as nn
from mmengine.model import BaseModule, initialize
from torch import Tensor

from sr4ir_mm.registry import MODELS

from .fsrcnn import KAIMING, check_num_shared


class IdentityMapping(nn.Module):
    """Residual block with full pre-activation and a wide middle.

    The order of He et al., "Identity mappings in deep residual networks"
    (ECCV 2016): BN, ReLU, convolution, twice.

    Args:
        channels (int): Channels of input and output.
        expansion (int): How many times wider the middle is.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, wide, 3, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features, (N, channels, h, w) -> the same shape."""
        return x + self.body(x)


@MODELS.register_module()
class WDSR(BaseModule):
    """WDSR as SR2 has it, whose first layers a classifier can share.

    Schirrmacher et al., "SR2: Super-resolution with structure-aware
    reconstruction" (ICIP 2020), section 2, after Fan et al., "Wide-activated
    deep residual networks based restoration for BPG-compressed images" (CVPRW
    2018) and Yu et al., "Wide activation for efficient and accurate image
    super-resolution" (https://arxiv.org/abs/1808.08718). Two branches are
    added up: residual blocks and a transposed convolution, and a transposed
    convolution of the LR image alone. Unlike WDSR's, the blocks are 16
    identity mappings in the order of He et al. (2016), with batch
    normalisation in place of weight normalisation. The first one is shared.

    What the SR2 paper leaves open, or has only in a figure:

    - As in WDSR-A, 32 channels, 128 in the middle of a block, and 3x3
      convolutions, one of them before the first block (shared with it). The
      LR image is not normalised.
    - The blocks end with BN and ReLU, as He et al. (2016) end theirs. Without,
      the sum of 16 blocks is so large at first that training takes far longer.
    - The transposed convolutions see what WDSR's 3x3 and 5x5 convolutions see
      before their pixel shuffle: kernels of 3 and 5 times the factor.
    - The initialization is by He et al. (2015), as SR2's; for the last
      layers, too.

    Args:
        in_channels (int): Defaults to 3.
        out_channels (int): Defaults to 3.
        mid_channels (int): Defaults to 32.
        num_blocks (int): Number of identity mappings. Defaults to 16.
        upscale_factor (int): Defaults to 4.
        expansion (int): How many times wider the middle of a block is.
            Defaults to 4.
        num_shared (int): Length of the shared prefix in identity mappings, 1
            to ``num_blocks``; the first convolution comes with them. Weights
            fit whatever it is. Defaults to 1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 32,
        num_blocks: int = 16,
        upscale_factor: int = 4,
        expansion: int = 4,
        num_shared: int = 1,
    ) -> None:
        super().__init__()
        check_num_shared('WDSR', num_shared, num_blocks)
        self.upscale_factor = upscale_factor
        self.num_shared = num_shared
        self.shared_channels = mid_channels
        self.conv_first = nn.Conv2d(in_channels, mid_channels, 3, padding=1)
        self.body = nn.Sequential(
            *[
                IdentityMapping(mid_channels, expansion)
                for _ in range(num_blocks)
            ]
        )
        self.last_activation = nn.Sequential(
            nn.BatchNorm2d(mid_channels), nn.ReLU(inplace=True)
        )
        self.upsample = self._deconv(mid_channels, out_channels, 3)
        self.skip = self._deconv(in_channels, out_channels, 5)
        initialize(self, KAIMING)

    def _deconv(
        self, in_channels: int, out_channels: int, reach: int
    ) -> nn.Module:
        """Every HR pixel sees the ``reach`` x ``reach`` LR pixels round it."""
        return nn.ConvTranspose2d(
            in_channels,
            out_channels,
            reach * self.upscale_factor,
            stride=self.upscale_factor,
            padding=reach // 2 * self.upscale_factor,
        )

    def extract_shared(self, lr: Tensor) -> Tensor:
        """The features that the first ``num_shared`` identity mappings make.

        Args:
            lr (Tensor): RGB in [0, 1], (N, in_channels, h, w).

        Returns:
            Tensor: Features, (N, shared_channels, h, w).
        """
        return self.body[: self.num_shared](self.conv_first(lr))

    def reconstruct(self, shared: Tensor, lr: Tensor) -> Tensor:
        """What remains to be done after :meth:`extract_shared`.

        Args:
            shared (Tensor): Its features, (N, shared_channels, h, w).
            lr (Tensor): The image that they are of, RGB in [0, 1],
                (N, in_channels, h, w), for the second branch.

        Returns:
            Tensor: RGB in [0, 1], not clamped, (N, out_channels, h * s, w *
            s), with the upscale factor s.
        """
        features = self.body[self.num_shared :](shared)
        return self.upsample(self.last_activation(features)) + self.skip(lr)

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): RGB in [0, 1], (N, in_channels, h, w).

        Returns:
            Tensor: RGB in [0, 1], not clamped, (N, out_channels, h * s, w *
            s), with the upscale factor s.
        """
        return self.reconstruct(self.extract_shared(lr), lr)
