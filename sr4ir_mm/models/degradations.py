import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sr4ir_mm.registry import MODELS


def quantize(image: Tensor) -> Tensor:
    """Round RGB in [0, 1] to what 8 bits can hold, still in [0, 1]."""
    return image.mul(255).round().clamp(0, 255).div(255)


@MODELS.register_module()
class Bicubic(nn.Module):
    """Bicubic downsampling, rounded to 8 bits: HR -> LR.

    The authors use PyTorch's bicubic kernel (a = -0.75) without antialiasing,
    although the paper speaks of the "conventional" one: at x8 each LR pixel
    then sees only the central 4 of 8 pixels per axis. ``antialias=True`` is
    closer to the conventional data sets.

    Args:
        scale (int): Downsampling factor; filled in from ``model.scale``.
        antialias (bool): Whether to low-pass first. Defaults to False.
    """

    def __init__(self, scale: int, antialias: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.antialias = antialias

    def forward(self, hr: Tensor) -> Tensor:
        """
        Args:
            hr (Tensor): RGB in [0, 1], (N, 3, H, W), sides multiples of
                ``scale``.

        Returns:
            Tensor: RGB in [0, 1], 8-bit levels, (N, 3, H/scale, W/scale).
        """
        return quantize(
            F.interpolate(
                hr,
                scale_factor=1 / self.scale,
                mode='bicubic',
                align_corners=False,
                antialias=self.antialias,
            )
        )
