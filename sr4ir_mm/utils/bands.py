"""What the bands of images are."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DARK = 1 / 16  # of a range; less of it is a file of fewer bits
# Keys of data preprocessors that turn BGR into RGB, or the other way round.
SWAPS = ('bgr_to_rgb', 'rgb_to_bgr', 'to_rgb')
# Transforms that cut values at 255, or take what is above for something else.
PHOTOMETRIC = (
    'PhotoMetricDistortion YOLOXHSVRandomAug AdjustGamma CLAHE Rerange '
    'RGB2Gray RandomGrayscale ColorJitter ColorTransform Color Brightness '
    'Contrast Sharpness Solarize SolarizeAdd Posterize Equalize AutoContrast '
    'Invert AutoAugment RandAugment AugMix Lighting GenerateEdge Albu '
    'Albumentations Corrupt DegradeInPipeline RandomErasing'
).split()


class Bands(NamedTuple):
    """What ``model.bands`` says of images, in a file's order of bands.

    Inside of a model an image is (N, C, H, W) in [0, 1], of C bands; in a
    file, an array or a tensor of a data loader it has the values of the file.

    Args:
        number (int): How many there are. Defaults to 3.
        rgb (tuple[int, int, int]): Which are red, green and blue to look at,
            counted from 0; one band three times is grey.
            Defaults to the first three.
        low, high (tuple[float]): What is 0 and 1 of each band.
            Defaults to 0 and 255.
        whole (bool): Whether files hold whole numbers, to which LR images and
            predictions are rounded. Defaults to True.
    """

    number: int = 3
    rgb: Tuple[int, int, int] = (0, 1, 2)
    low: Tuple[float, ...] = (0, 0, 0)
    high: Tuple[float, ...] = (255, 255, 255)
    whole: bool = True

    def to_unit(self, values: Tensor) -> Tensor:
        """Values of the file -> [0, 1]; float, (..., C, H, W), also an
        array."""
        low, span = self._tensors(values)
        return (values / span) if low is None else (values - low) / span

    def from_unit(self, image: Tensor) -> Tensor:
        """[0, 1] -> values of the file; (..., C, H, W), not rounded."""
        low, span = self._tensors(image)
        return (image * span) if low is None else image * span + low

    def quantize(self, image: Tensor) -> Tensor:
        """An image in [0, 1] as a file holds it: within its range, and of
        whole numbers, if those are in it."""
        image = image.clamp(0, 1)
        if not self.whole:
            return image
        _, span = self._tensors(image)
        return image.mul(span).round().div(span)

    def misfit(self, lowest: np.ndarray, highest: np.ndarray) -> Optional[str]:
        """In words, how an image does not fit the range, if it does not.

        Args:
            lowest, highest (np.ndarray): Of its bands, in values of the file.
        """
        if np.all(lowest >= self.low) and np.all(highest <= self.high):
            return None
        return (
            f'has values of {np.min(lowest):g} to {np.max(highest):g}, and '
            f'model.bands.range is {min(self.low):g} to {max(self.high):g}'
        )

    def darkness(self, highest: np.ndarray) -> Optional[str]:
        """In words, how little of the range images use, if that is less than
        files of fewer bits would.

        Args:
            highest (np.ndarray): Of their bands, in values of the file.
        """
        low, high = np.array(self.low), np.array(self.high)
        most = ((highest - low) / (high - low)).max()
        if most >= DARK:
            return None
        return (
            f'use the lowest {most:.1%} of model.bands.range alone, '
            f'{low.min():g} to {high.max():g}, so that they are nearly black'
        )

    def ends(
        self, image: np.ndarray, missing: Optional[np.ndarray] = None
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Lowest and highest values of each band; where there are none, 0 of
        the range.

        Args:
            image (np.ndarray): In values of the file, (..., C).
            missing (np.ndarray, optional): Where it has no data, likewise.
        """
        mask = False if missing is None else missing.reshape(-1, self.number)
        values = np.ma.array(image.reshape(-1, self.number), mask=mask)
        return tuple(
            end.filled(self.low) for end in (values.min(0), values.max(0))
        )

    def look(self, image: Tensor) -> Tensor:
        """An image, (..., C, H, W), to look at: RGB, (..., 3, H, W)."""
        if self.rgb == tuple(range(self.number)):
            return image
        return image[..., list(self.rgb), :, :]

    @property
    def are_pictures(self) -> bool:
        """Whether they are RGB of 8 bits."""
        return self == PICTURES

    def _tensors(self, like: Tensor) -> Tuple[Any, Any]:
        """What is 0, None if it is 0 of all bands; and how much is 1 more."""
        spans = tuple(high - low for low, high in zip(self.low, self.high))
        low = self.low if any(self.low) else None
        if isinstance(like, np.ndarray):
            each = partial(_as_array, dtype=like.dtype)
        else:
            each = partial(_as_tensor, dtype=like.dtype, device=like.device)
        return tuple(
            values and (values[0] if len(set(values)) == 1 else each(values))
            for values in (low, spans)
        )


#: RGB of 8 bits.
PICTURES = Bands()


def _as_array(values: Tuple[float, ...], dtype: np.dtype) -> np.ndarray:
    return np.array(values, dtype).reshape(-1, 1, 1)


@lru_cache(maxsize=None)  # no device is sent numbers twice
def _as_tensor(
    values: Tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    import torch

    with torch.inference_mode(False):
        tensor = torch.tensor(values, dtype=dtype, device=device)
    return tensor.view(-1, 1, 1)


def raster_loader(bands: Bands) -> dict:
    """Config of the transform that loads images of some bands. Where they have
    no data, they are dark."""
    loader = dict(type='sr4ir_mm.LoadRasterFromFile')
    if any(bands.low):
        loader['fill'] = min(bands.low)
    return loader


def read_bands(cfg: Optional[dict]) -> Bands:
    """``model.bands`` of a config.

    Args:
        cfg (dict, optional): ``number``; ``rgb``, which of them to look at,
            counted from 0; ``range``, what of the file is 1, or (low, high),
            or one of these for each band. Of floating-point numbers, files
            hold what they may; of whole ones, whole ones. Defaults to None:
            pictures of 8 bits.

    Raises:
        ValueError: If it is not so.
    """
    if cfg is None:
        return PICTURES
    unknown = sorted(set(cfg) - {'number', 'rgb', 'range'})
    number = cfg.get('number', 3)
    if unknown or not isinstance(number, int) or number < 1:
        raise ValueError(
            f'model.bands={dict(cfg)}: expected dict(number=, rgb=, range=), '
            'number 1 or more.'
        )
    default = (0, 1, 2) if number >= 3 else (0, 0, 0)
    rgb = tuple(cfg.get('rgb', default))
    if len(rgb) != 3 or any(band not in range(number) for band in rgb):
        raise ValueError(
            f'model.bands.rgb={rgb}: expected three bands of 0 to '
            f'{number - 1}, red, green and blue.'
        )
    ends = _read_range(cfg.get('range', 255), number)
    low, high = zip(*ends)
    whole = all(isinstance(end, int) for end in (*low, *high))
    return Bands(number, rgb, low, high, whole)


def _read_range(given: Any, number: int) -> Sequence[Tuple[float, float]]:
    each = given
    if isinstance(given, (int, float)) or _is_pair(given):
        each = [given] * number
    ends = [
        (type(one)(0), one) if isinstance(one, (int, float)) else tuple(one)
        for one in each
    ]
    if len(ends) != number or not all(
        _is_pair(pair) and pair[0] < pair[1] for pair in ends
    ):
        raise ValueError(
            f'model.bands.range={given!r}: expected what is 1 (255, 65535), '
            f'(low, high), or a list of {number} of these.'
        )
    return ends


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(end, (int, float)) for end in value)
    )
