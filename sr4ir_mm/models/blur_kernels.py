"""Kernels of Real-ESRGAN's blur (Wang et al., ICCVW 2021, appendix A), drawn
by PyTorch's random numbers."""

import math
from typing import Tuple

import torch
from torch import Tensor


def quadratic_form(
    size: int, std: Tuple[float, float], angle: float = 0
) -> Tensor:
    """Squared distance from the centre in standard deviations along two axes,
    turned by an angle in radians; float64, (size, size)."""
    at = torch.arange(size, dtype=torch.float64) - size // 2
    y, x = torch.meshgrid(at, at, indexing='ij')
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = x * cos + y * sin, y * cos - x * sin
    return (along / std[0]).square() + (across / std[1]).square()


def gaussian_kernel(distance: Tensor, beta: float = 1) -> Tensor:
    """Generalized Gaussian of a quadratic form; of ``beta`` 1, the Gaussian
    itself. Sums to 1."""
    kernel = torch.exp(-distance.pow(beta) / 2)
    return kernel / kernel.sum()


def plateau_kernel(distance: Tensor, beta: float) -> Tensor:
    """Flat inside, of a quadratic form. Sums to 1."""
    kernel = 1 / (distance.pow(beta) + 1)
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> Tensor:
    """The ideal low-pass of a circle of frequencies up to ``cutoff`` radians
    a pixel, cut off at its border: rings and overshoot. Sums to 1."""
    radius = quadratic_form(size, (1, 1)).sqrt()
    kernel = cutoff * torch.special.bessel_j1(cutoff * radius)
    kernel = kernel / (2 * math.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    return kernel / kernel.sum()
