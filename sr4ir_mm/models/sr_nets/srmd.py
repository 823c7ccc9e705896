from typing import Optional

import torch
import torch.nn as nn
from mmengine.model import BaseModule, initialize
from torch import Tensor

from sr4ir_mm.registry import MODELS

from .fsrcnn import KAIMING


@MODELS.register_module()
class SRMD(BaseModule):
    """SRMD, which is told how its input was degraded.

    Zhang et al., "Learning a single convolutional super-resolution network
    for multiple degradations" (CVPR 2018, https://arxiv.org/abs/1712.06116):
    the blur kernel's principal components and the level of the noise are
    stretched to maps of the LR image's size, and go with it through plain
    3x3 convolutions with BatchNorm, in LR, and a pixel shuffle. In a model of
    this package, ``model.degradation`` tells it, image by image: see
    ``train_std`` of :class:`GaussianBlur` and :class:`GaussianNoise`, which
    draw what it shall learn to invert.

    The principal components are those of Gaussian kernels, isotropic and
    not, of standard deviations of 0.2 to ``upscale_factor`` HR pixels, as the
    paper's; they are kept with the weights.

    Args:
        in_channels (int): Defaults to 3.
        out_channels (int): Defaults to 3.
        mid_channels (int): Defaults to 128.
        num_blocks (int): Number of convolutions. Defaults to 12.
        upscale_factor (int): Defaults to 4.
        kernel_size (int): Of the blur kernels, in HR pixels. Defaults to 15.
        num_components (int): What remains of a kernel. Defaults to 15.
        blur_std (float): What to assume of LR images whose degradation is not
            known, such as real ones, in HR pixels. Defaults to 1.0.
        noise_std (float): The same of their noise, in 8-bit levels.
            Defaults to 0.0.
    """

    # Views pass what the degradation did as keyword arguments.
    is_told_degradation = True

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 128,
        num_blocks: int = 12,
        upscale_factor: int = 4,
        kernel_size: int = 15,
        num_components: int = 15,
        blur_std: float = 1.0,
        noise_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.blur_std = blur_std
        self.noise_std = noise_std
        self.register_buffer(
            'components',
            principal_components(kernel_size, upscale_factor, num_components),
        )
        layers = []
        width = in_channels + num_components + 1
        for _ in range(num_blocks - 1):
            layers += [
                nn.Conv2d(width, mid_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(mid_channels),
                nn.ReLU(inplace=True),
            ]
            width = mid_channels
        wide = out_channels * upscale_factor**2
        layers += [
            nn.Conv2d(width, wide, 3, padding=1),
            nn.PixelShuffle(upscale_factor),
        ]
        self.layers = nn.Sequential(*layers)
        initialize(self, KAIMING)

    def forward(
        self,
        lr: Tensor,
        blur_std: Optional[Tensor] = None,
        noise_std: Optional[Tensor] = None,
    ) -> Tensor:
        """
        Args:
            lr (Tensor): RGB in [0, 1], (N, in_channels, h, w).
            blur_std (Tensor, optional): Of each image's Gaussian blur, in HR
                pixels, (N,).
            noise_std (Tensor, optional): Of each image's noise, in 8-bit
                levels, (N,).

        Returns:
            Tensor: RGB in [0, 1], not clamped, (N, out_channels, h * s, w *
            s), with the upscale factor s.
        """
        if blur_std is None:
            blur_std = lr.new_full((len(lr),), self.blur_std)
        if noise_std is None:
            noise_std = lr.new_full((len(lr),), self.noise_std)
        kernels = gaussian_kernels(self.kernel_size, blur_std, blur_std)
        codes = kernels.flatten(1).to(lr) @ self.components.T
        codes = torch.cat([codes, noise_std.to(lr)[:, None] / 255], dim=1)
        maps = codes[..., None, None].expand(-1, -1, *lr.shape[2:])
        return self.layers(torch.cat([lr, maps], dim=1))


def gaussian_kernels(
    size: int, std: Tensor, other_std: Tensor, angle: Optional[Tensor] = None
) -> Tensor:
    """Gaussian blur kernels, which sum to 1.

    Args:
        size (int): Their side.
        std (Tensor): Standard deviation along one axis, in pixels, (N,).
        other_std (Tensor): Along the other, (N,).
        angle (Tensor, optional): Of the first axis, (N,). Defaults to 0.

    Returns:
        Tensor: (N, size, size)
    """
    at = torch.arange(size, device=std.device, dtype=std.dtype)
    at = at - (size - 1) / 2
    x, y = at[None, None, :], at[None, :, None]
    if angle is not None:
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        x, y = cos * x + sin * y, cos * y - sin * x
    exponents = (x / std[:, None, None]) ** 2
    exponents = exponents + (y / other_std[:, None, None]) ** 2
    return (-exponents / 2).flatten(1).softmax(dim=1).view(-1, size, size)


def principal_components(size: int, max_std: float, number: int) -> Tensor:
    """Of Gaussian kernels up to a standard deviation: (number, size^2)."""
    stds = torch.linspace(0.2, max_std, 12, dtype=torch.float64)
    angles = torch.linspace(0, torch.pi, 13, dtype=torch.float64)[:-1]
    grid = torch.cartesian_prod(stds, stds, angles)
    kernels = gaussian_kernels(size, *grid.unbind(dim=1)).flatten(1)
    _, vectors = torch.linalg.eigh(kernels.T @ kernels)
    return vectors[:, -number:].flip(1).T.float().contiguous()
