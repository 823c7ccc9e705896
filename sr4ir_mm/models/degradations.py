import math
from typing import Dict, Optional, Sequence, Tuple, Union
from zlib import crc32

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from sr4ir_mm.registry import MODELS


def to_levels(image: Tensor) -> Tensor:
    """RGB in [0, 1] -> the nearest 8-bit levels, 0 to 255, still float."""
    return image.mul(255).round().clamp(0, 255)


def quantize(image: Tensor) -> Tensor:
    """Round RGB in [0, 1] to what 8 bits can hold, still in [0, 1]."""
    return to_levels(image).div(255)


def draw(span: Tuple[float, float], image: Tensor) -> Tensor:
    """A number of a range for each image of a batch, (N,). Of a range without
    extent it needs no randomness."""
    low, high = span
    if low == high:
        return image.new_full((len(image),), low, dtype=torch.float32)
    return torch.empty(len(image), device=image.device).uniform_(low, high)


class Degradation(nn.Module):
    """HR -> LR, by itself or as a step of a chain.

    ``degrade`` does the work; ``forward`` rounds its result to 8 bits. In a
    chain only the last result is rounded. ``told`` is what it did last, for
    SR networks that want to know (:class:`SRMD`): each value is (N,).

    Args:
        scale (int): Factor between LR and HR; filled in from ``model.scale``.
            Defaults to 1.
    """

    told: Dict[str, Tensor] = {}

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, hr: Tensor) -> Tensor:
        """
        Args:
            hr (Tensor): RGB in [0, 1], (N, 3, H, W), sides multiples of
                ``scale``.

        Returns:
            Tensor: RGB in [0, 1], 8-bit levels, (N, 3, H/scale, W/scale).
        """
        lr = self.degrade(hr)
        if [side * self.scale for side in lr.shape[2:]] != list(hr.shape[2:]):
            raise ValueError(
                f'model.degradation turns {tuple(hr.shape)} into '
                f'{tuple(lr.shape)}, not into 1/{self.scale} of the size '
                '(model.scale): exactly one of its steps must downsample, '
                "such as dict(type='sr4ir_mm.Bicubic')."
            )
        return quantize(lr)

    def degrade(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> RGB around [0, 1], not rounded."""
        raise NotImplementedError


class DegradationChain(Degradation):
    """Several degradations, one after the other.

    Args:
        steps (Sequence[dict]): Configs of :class:`Degradation`.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(self, steps: Sequence[dict], **kwargs) -> None:
        super().__init__(**kwargs)
        self.steps = nn.ModuleList(
            MODELS.build(step, default_args=kwargs) for step in steps
        )

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        self.told = {}
        for step in self.steps:
            image = step.degrade(image)
            self.told = {**self.told, **step.told}
        return image


def build_degradation(
    cfg: Union[dict, Sequence[dict]], scale: int
) -> nn.Module:
    """Build ``model.degradation``: one config, or a list for a chain."""
    if isinstance(cfg, (list, tuple)):
        return DegradationChain(cfg, scale=scale)
    return MODELS.build(cfg, default_args=dict(scale=scale))


@MODELS.register_module()
class Bicubic(Degradation):
    """Bicubic downsampling.

    The authors use PyTorch's bicubic kernel (a = -0.75) without antialiasing,
    although the paper speaks of the "conventional" one: at x8 each LR pixel
    then sees only the central 4 of 8 pixels per axis. ``antialias=True`` is
    closer to the conventional data sets.

    Args:
        antialias (bool): Whether to low-pass first. Defaults to False.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(self, antialias: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.antialias = antialias

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        return F.interpolate(
            image,
            scale_factor=1 / self.scale,
            mode='bicubic',
            align_corners=False,
            antialias=self.antialias,
        )


@MODELS.register_module()
class GaussianBlur(Degradation):
    r"""Gaussian blur (SR4IR, table S5: std 5, 10, 15, before x8 bicubic).

    .. math::
        y = g * x, \quad
        g(u, v) \propto \exp\left(-\frac{u^2 + v^2}{2\,std^2}\right),
        \quad |u|, |v| \le r = \lceil 3\,std \rceil

    with weights that sum to 1 and reflected borders. The authors' kernel size
    is not known: at 3 std the tail that is cut off weighs 0.3 % per axis.

    Args:
        std (float): In pixels of the image it is given: HR pixels before the
            downsampling step, LR pixels after it.
        train_std (tuple[float, float], optional): In training, the standard
            deviation is drawn from this range, for each image.
            Defaults to None: it is ``std``.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(
        self,
        std: float,
        train_std: Optional[Tuple[float, float]] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.std = std
        self.train_std = train_std

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        drawn = self.training and self.train_std is not None
        span = self.train_std if drawn else (self.std, self.std)
        std = draw(span, image)
        self.told = dict(blur_std=std)
        radius = math.ceil(3 * max(span))
        num, channels, height, width = image.shape
        if min(height, width) <= radius:
            raise ValueError(
                f'GaussianBlur.std={max(span)} needs images of more than '
                f'{radius} pixels a side, got {width}x{height}: lower std, or '
                'enlarge the crops in the pipeline.'
            )
        at = torch.arange(-radius, radius + 1, device=image.device)
        kernel = torch.exp(-at.square() / (2 * std[:, None] ** 2)).to(image)
        kernel = kernel / kernel.sum(dim=1, keepdim=True)
        kernel = kernel.repeat_interleave(channels, dim=0)[:, None, None]
        # One axis after the other: 13 times as fast as torchvision's blur,
        # which has (2 * radius + 1)^2 taps, at std 15.
        image = F.pad(image, (radius,) * 4, mode='reflect').flatten(0, 1)
        # Half precision would lose the 8 bits.
        with torch.autocast(image.device.type, enabled=False):
            image = F.conv2d(image[None], kernel, groups=num * channels)
            image = F.conv2d(
                image, kernel.transpose(2, 3), groups=num * channels
            )
        return image.view(num, channels, height, width)


@MODELS.register_module()
class GaussianNoise(Degradation):
    r"""Additive white Gaussian noise.

    .. math::
        y = x + \frac{std}{255}\, n, \quad n \sim \mathcal{N}(0, 1)

    for each pixel and channel, or, if it is grey, for each pixel. In training
    the noise is new every time. In eval mode it is a function of ``seed`` and
    of the padded image: for images of one size, results depend neither on
    their order nor on the batch size.

    Args:
        std (float): In 8-bit levels, on the image it is given: put it after
            the downsampling step for noise on LR.
        seed (int): Seed of the noise in eval mode. Defaults to 0.
        grey (bool): Whether all channels of a pixel get the same noise, so
            that grey images stay grey. Defaults to False.
        train_std (tuple[float, float], optional): In training, the standard
            deviation is drawn from this range, for each image: (0, 0) to
            train without noise, as SR2 does. Defaults to None: it is ``std``.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(
        self,
        std: float,
        seed: int = 0,
        grey: bool = False,
        train_std: Optional[Tuple[float, float]] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.std = std
        self.seed = seed
        self.grey = grey
        self.train_std = train_std

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        drawn = self.training and self.train_std is not None
        span = self.train_std if drawn else (self.std, self.std)
        std = draw(span, image)
        self.told = dict(noise_std=std)
        if max(span) == 0:
            return image
        like = image[:, :1] if self.grey else image
        if self.training:
            noise = torch.randn_like(like)
        else:
            noise = torch.stack([self._fixed_noise(one) for one in image])
        return image + std.view(-1, 1, 1, 1) / 255 * noise

    def _fixed_noise(self, image: Tensor) -> Tensor:
        # From the image's 8-bit levels: the images of a data set of one size
        # must not share theirs. On the CPU, as devices draw differently.
        levels = to_levels(image).byte().cpu()
        seed = crc32(levels.numpy().tobytes(), self.seed)
        generator = torch.Generator().manual_seed(seed)
        shape = image[:1].shape if self.grey else image.shape
        return torch.randn(shape, generator=generator).to(image)


@MODELS.register_module()
class JPEG(Degradation):
    r"""JPEG compression and decompression.

    .. math::
        y = \mathrm{decode}(\mathrm{encode}_{quality}(
            \mathrm{round}(255\,x))) / 255

    by libjpeg, which halves the resolution of the chroma (4:2:0). An encoder
    takes 8 bits, so the image is rounded before it as well. Runs on the CPU,
    image by image. Not differentiable.

    Args:
        quality (int): From 1 (worst) to 100.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(self, quality: int, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 1 <= quality <= 100:
            raise ValueError(f'JPEG.quality={quality}: expected 1 to 100.')
        self.quality = quality

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        levels = to_levels(image).byte().cpu()
        decoded = [
            decode_jpeg(encode_jpeg(one, self.quality), ImageReadMode.RGB)
            for one in levels
        ]
        return torch.stack(decoded).to(image).div(255)
