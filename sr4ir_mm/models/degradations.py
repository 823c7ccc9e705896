import math
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union
from zlib import crc32

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg
from torchvision.transforms.v2.functional import rgb_to_grayscale

from sr4ir_mm.registry import MODELS
from sr4ir_mm.utils.bands import PICTURES, Bands

from .blur_kernels import (
    gaussian_kernel,
    plateau_kernel,
    quadratic_form,
    sinc_kernel,
)

Span = Union[float, Tuple[float, float]]
Size = Tuple[int, int]


def to_levels(image: Tensor) -> Tensor:
    """RGB in [0, 1] -> the nearest 8-bit levels, 0 to 255, still float."""
    return image.mul(255).round().clamp(0, 255)


def check_span(
    name: str, span: Span, low: float = 0, high: float = math.inf
) -> Tuple[float, float]:
    """A number, or a range to draw from, as a range.

    Raises:
        ValueError: If it is neither, or not within ``low`` and ``high``.
    """
    ends = span if isinstance(span, (list, tuple)) else (span, span)
    are_numbers = all(isinstance(end, (int, float)) for end in ends)
    if not (
        are_numbers and len(ends) == 2 and low <= ends[0] <= ends[1] <= high
    ):
        raise ValueError(
            f'{name}={span!r}: expected a number, or (low, high), of {low} to '
            f'{high}.'
        )
    return tuple(ends)


def draw(span: Tuple[float, float]) -> float:
    """A number of a range. Of a range without extent it needs no
    randomness."""
    low, high = span
    if low == high:
        return low
    return torch.empty((), dtype=torch.float64).uniform_(low, high).item()


def choose(weights: Sequence[float]) -> int:
    """An index, each as often as its weight says."""
    if len(weights) == 1:
        return 0
    return int(torch.multinomial(torch.tensor(weights), 1))


def filter_image(image: Tensor, kernel: Tensor) -> Tensor:
    """Each band of an image, (1, C, h, w), filtered by a kernel, (k, k), k
    odd. Borders are reflected; of images that are too small for that, they
    are continued. By Fourier transforms: a kernel of 21 pixels takes a sixth
    of the time."""
    radius = len(kernel) // 2
    *_, height, width = image.shape
    mode = 'reflect' if min(height, width) > radius else 'replicate'
    image = F.pad(image, (radius,) * 4, mode=mode)
    shape = [-(-side // 16) * 16 for side in image.shape[2:]]
    spectrum = torch.fft.rfft2(image, s=shape)
    spectrum = spectrum * torch.fft.rfft2(kernel.to(image), s=shape).conj()
    return torch.fft.irfft2(spectrum, s=shape)[..., :height, :width]


def downsample(image: Tensor, scale: int, antialias: bool = False) -> Tensor:
    """Bicubic, (N, C, H, W) -> (N, C, H/scale, W/scale)."""
    return F.interpolate(
        image,
        scale_factor=1 / scale,
        mode='bicubic',
        align_corners=False,
        antialias=antialias,
    )


class Degradation(nn.Module):
    """HR -> LR, by itself or as a step of a chain.

    Each image is degraded by itself, without the padding of its batch, and
    with numbers of its own, where a step draws them. In training they are new
    every time. In eval mode they are a function of ``seed`` and the image:
    whatever the batch size, the order or the number of processes.

    ``degrade`` does the work; ``forward`` rounds its result to what a file of
    ``bands`` holds, such as 8 bits. In a chain only the last result is
    rounded. Draw small numbers by PyTorch on the CPU, which no device waits
    for, and noise by ``noise``.

    Args:
        scale (int): Factor between LR and HR; filled in from ``model.scale``.
            Defaults to 1.
        seed (int): Of the randomness in eval mode; of a chain, the chain's.
            Defaults to 0.
    """

    #: What ``degrade`` did last, for SR networks that want to know
    #: (:class:`SRMD`); after ``forward``, (N,) each.
    told: Dict[str, Union[float, Tensor]] = {}
    #: Height and width of the HR image, for steps that want to know.
    hr_size: Optional[Size] = None
    #: Of the images; from ``model.bands``.
    bands: Bands = PICTURES

    def __init__(self, scale: int = 1, seed: int = 0) -> None:
        super().__init__()
        self.scale = scale
        self.seed = seed

    def forward(
        self, hr: Tensor, sizes: Optional[Sequence[Size]] = None
    ) -> Tensor:
        """
        Args:
            hr (Tensor): In [0, 1], (N, C, H, W), sides multiples of
                ``scale``.
            sizes (Sequence[tuple], optional): Height and width of each image
                in it. Beyond them, LR is bicubic. Defaults to H and W.

        Returns:
            Tensor: In [0, 1], rounded, (N, C, H/scale, W/scale).
        """
        sizes = [
            tuple(side + -side % self.scale for side in size)
            for size in sizes or [hr.shape[2:]] * len(hr)
        ]
        alone = self.alone
        if alone or len(set(sizes)) > 1:
            pieces = [
                image[None, :, :height, :width]
                for image, (height, width) in zip(hr, sizes)
            ]
        else:
            height, width = sizes[0]
            pieces = [hr[..., :height, :width]]
        is_fixed = alone and not self.training
        made, told = [], []
        for piece in pieces:
            with self._fixed(piece) if is_fixed else nullcontext():
                made.append(self._degrade_piece(piece))
            told += [self.told] * len(piece)
        self.told = {
            key: hr.new_tensor([one[key] for one in told])
            for key in told[0]
            if all(key in one for one in told)
        }
        whole = [side // self.scale for side in hr.shape[2:]]
        if all(list(image.shape[2:]) == whole for image in made):
            return self.bands.quantize(torch.cat(made))
        lr = downsample(hr, self.scale)
        for canvas, image in zip(lr, chain.from_iterable(made)):
            canvas[:, : image.shape[1], : image.shape[2]] = image
        return self.bands.quantize(lr)

    @property
    def alone(self) -> bool:
        """Whether it sees each image by itself, since it draws numbers for it;
        if not, it sees images of one size together."""
        return True

    def degrade(self, image: Tensor) -> Tensor:
        """In [0, 1], (1, C, H, W), or (N, C, H, W) if it does not see images
        alone -> around [0, 1], not rounded."""
        raise NotImplementedError

    def noise(self, image: Tensor) -> Tensor:
        """Standard normal, of an image's shape."""
        if self.training:
            return torch.randn_like(image)
        # devices draw differently
        return torch.randn(image.shape).to(image)

    def _degrade_piece(self, image: Tensor) -> Tensor:
        size = tuple(image.shape[2:])
        for step in self.modules():
            step.hr_size = size
        lr = self.degrade(image)
        if [side * self.scale for side in lr.shape[2:]] != list(size):
            raise ValueError(
                f'model.degradation turns {tuple(image.shape)} into '
                f'{tuple(lr.shape)}, not into 1/{self.scale} of the size '
                '(model.scale): exactly one of its steps must downsample, '
                "such as dict(type='sr4ir_mm.Bicubic'), or the last one be "
                "dict(type='sr4ir_mm.Resize')."
            )
        return lr

    @contextmanager
    def _fixed(self, image: Tensor) -> Iterator[None]:
        """Inside, PyTorch's random numbers on the CPU are a function of the
        seed and an image's 8-bit levels."""
        levels = to_levels(image).byte().cpu()
        with torch.random.fork_rng(devices=[]):
            seed = crc32(levels.numpy().tobytes(), self.seed)
            torch.default_generator.manual_seed(seed)
            yield


@MODELS.register_module()
class DegradationChain(Degradation):
    """Several degradations, one after the other.

    Args:
        steps (Sequence[dict]): Configs of :class:`Degradation`.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(self, steps: Sequence[dict], **kwargs) -> None:
        super().__init__(**kwargs)
        self.steps = nn.ModuleList(
            _build_step(step, self.scale) for step in steps
        )

    @property
    def alone(self) -> bool:
        """See :class:`Degradation`."""
        return any(step.alone for step in self.steps)

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        self.told = {}
        for step in self.steps:
            image = step.degrade(image)
            self.told = {**self.told, **step.told}
        return image


def build_degradation(
    cfg: Union[dict, Sequence[dict]], scale: int, bands: Bands = PICTURES
) -> nn.Module:
    """Build ``model.degradation``: one config, or a list for a chain.

    Raises:
        ValueError: If it compresses what is no picture of 8 bits.
    """
    if isinstance(cfg, (list, tuple)):
        degradation = DegradationChain(cfg, scale=scale)
    else:
        degradation = MODELS.build(cfg, default_args=dict(scale=scale))
    for step in degradation.modules():
        step.bands = bands
        if isinstance(step, JPEG) and not bands.are_pictures:
            raise ValueError(
                'model.degradation: JPEG compresses RGB of 8 bits, and '
                'model.bands are others: leave it out.'
            )
    return degradation


def _build_step(cfg: Union[dict, Sequence[dict]], scale: int) -> 'Degradation':
    if isinstance(cfg, dict) and 'seed' in cfg:
        raise ValueError(
            f'{cfg["type"]}.seed={cfg["seed"]}: the randomness of a chain is '
            "drawn from its own seed: dict(type='sr4ir_mm.DegradationChain', "
            'steps=[...], seed=...).'
        )
    return build_degradation(cfg, scale)


@MODELS.register_module()
class RandomChoice(Degradation):
    """One of several degradations, drawn for each image.

    Args:
        choices (Sequence): Configs of :class:`Degradation`, or lists of them
            for chains; an empty one leaves the image as it is.
        prob (Sequence[float], optional): How often each is drawn.
            Defaults to None: equally often.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(
        self,
        choices: Sequence[Union[dict, Sequence[dict]]],
        prob: Optional[Sequence[float]] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(choices, dict):
            raise ValueError(
                'RandomChoice.choices is one config: expected a list.'
            )
        self.choices = nn.ModuleList(
            _build_step(choice, self.scale) for choice in choices
        )
        self.prob = _check_prob('RandomChoice.prob', prob, len(choices))

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        step = self.choices[choose(self.prob)]
        image = step.degrade(image)
        self.told = step.told
        return image


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

    def forward(self, *args, **kwargs) -> Tensor:
        """See :class:`Degradation`."""
        if self.scale == 1:  # a chain may have it among others
            raise ValueError(
                'model.scale=1: model.degradation=Bicubic would leave each '
                'image as it is, so that LR is HR: take an SR network that '
                'enlarges, or a degradation that does more than that.'
            )
        return super().forward(*args, **kwargs)

    @property
    def alone(self) -> bool:
        """See :class:`Degradation`."""
        return False

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        return downsample(image, self.scale, self.antialias)


@MODELS.register_module()
class Resize(Degradation):
    """Resizing to a part of HR's size, whatever size the image has by now;
    without antialiasing, as PyTorch and OpenCV do it by default.

    Args:
        down (float | tuple[float, float], optional): HR's size over the new
            one, or a range to draw it from. Defaults to None: the scale, which
            is what a chain must end with.
        factor (float | tuple[float, float], optional): Instead of ``down``,
            the new size over HR's. A range is drawn evenly, which ``down``
            does otherwise.
        modes (Sequence[str]): One of these is drawn: ``bicubic``,
            ``bilinear``, ``area``, ``nearest``. Defaults to ``bicubic``.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(
        self,
        down: Optional[Span] = None,
        factor: Optional[Span] = None,
        modes: Sequence[str] = ('bicubic',),
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if down is not None and factor is not None:
            raise ValueError(
                f'Resize.down={down} and Resize.factor={factor}: say one.'
            )
        for name, span in dict(down=down, factor=factor).items():
            if span is not None:
                span = check_span(f'Resize.{name}', span, 1e-3)
            setattr(self, name, span)
        self.modes = list(modes)
        unknown = {*modes} - {'bicubic', 'bilinear', 'area', 'nearest'}
        if unknown or not modes:
            raise ValueError(
                f"Resize.modes={modes!r}: expected of 'bicubic', 'bilinear', "
                "'area' and 'nearest'."
            )

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        if self.factor:
            factor = draw(self.factor)
        else:
            factor = 1 / (draw(self.down) if self.down else self.scale)
        size = [
            max(1, round(side * factor))
            for side in self.hr_size or image.shape[2:]
        ]
        mode = self.modes[choose([1.0] * len(self.modes))]
        if size == list(image.shape[2:]):
            return image
        corners = (
            {} if mode in ('area', 'nearest') else {'align_corners': False}
        )
        return F.interpolate(image, size, mode=mode, **corners)


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
        std (float | tuple[float, float]): In pixels of the image it is given:
            HR pixels before the downsampling step, LR pixels after it. Or a
            range to draw it from.
        train_std (float | tuple[float, float], optional): The same in
            training. Defaults to None: it is ``std``.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(
        self, std: Span, train_std: Optional[Span] = None, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.std = std
        self.train_std = train_std
        _check_stds(self)

    @property
    def alone(self) -> bool:
        """See :class:`Degradation`."""
        low, high = _std_of(self)
        return low < high

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        std = draw(_std_of(self))
        self.told = dict(blur_std=std)
        if std == 0:
            return image
        distance = quadratic_form(2 * math.ceil(3 * std) + 1, (std, std))
        return filter_image(image, gaussian_kernel(distance))


@MODELS.register_module()
class RandomBlur(Degradation):
    """Real-ESRGAN's blur: a kernel of one of seven kinds, drawn for each
    image, as mmagic's transform of this name.

    Args:
        kernels (dict[str, float]): How often each kind is drawn: ``iso``,
            ``aniso`` (Gaussian), ``generalized_iso``, ``generalized_aniso``,
            ``plateau_iso``, ``plateau_aniso`` or ``sinc``.
        size (tuple[int, int]): Smallest and largest kernel, in pixels; both
            odd. Defaults to 7 and 21.
        std (tuple[float, float]): Along each axis, in pixels.
            Defaults to .2 to 3.
        beta_gaussian (tuple[float, float]): Shape of generalized ones; half
            of them are drawn below 1, half above. Defaults to .5 to 4.
        beta_plateau (tuple[float, float]): Likewise. Defaults to 1 to 2.
        cutoff (tuple[float, float]): Of ``sinc``, in radians a pixel. Those
            of kernels under 13 pixels are of pi / 3 at least.
            Defaults to pi / 5 to pi.
        **kwargs: See :class:`Degradation`.
    """

    KINDS = (
        'iso',
        'aniso',
        'generalized_iso',
        'generalized_aniso',
        'plateau_iso',
        'plateau_aniso',
        'sinc',
    )

    def __init__(
        self,
        kernels: Dict[str, float],
        size: Tuple[int, int] = (7, 21),
        std: Span = (0.2, 3.0),
        beta_gaussian: Span = (0.5, 4.0),
        beta_plateau: Span = (1.0, 2.0),
        cutoff: Span = (math.pi / 5, math.pi),
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if (
            not isinstance(kernels, dict)
            or not kernels
            or not {*kernels} <= {*self.KINDS}
        ):
            raise ValueError(
                f'RandomBlur.kernels={kernels!r}: expected how often each is '
                f'drawn, of {", ".join(self.KINDS)}.'
            )
        self.kinds = list(kernels)
        self.prob = _check_prob(
            'RandomBlur.kernels', list(kernels.values()), len(kernels)
        )
        self.size = check_span('RandomBlur.size', size, 1)
        if not all(isinstance(side, int) and side % 2 for side in self.size):
            raise ValueError(
                f'RandomBlur.size={size!r}: expected odd whole numbers.'
            )
        self.std = check_span('RandomBlur.std', std, 1e-3)
        self.beta_gaussian = check_span(
            'RandomBlur.beta_gaussian', beta_gaussian
        )
        self.beta_plateau = check_span('RandomBlur.beta_plateau', beta_plateau)
        self.cutoff = check_span('RandomBlur.cutoff', cutoff, 0, math.pi)

    def draw_kernel(self) -> Tensor:
        """A kernel, float64, (k, k)."""
        low, high = self.size
        size = low + 2 * choose([1.0] * ((high - low) // 2 + 1))
        kind = self.kinds[choose(self.prob)]
        if kind == 'sinc':
            lowest, highest = self.cutoff
            if size < 13:
                lowest = max(lowest, math.pi / 3)
            return sinc_kernel(size, draw((lowest, highest)))
        std = draw(self.std)
        if kind.endswith('aniso'):
            spread, angle = (std, draw(self.std)), draw((-math.pi, math.pi))
        else:
            spread, angle = (std, std), 0
        distance = quadratic_form(size, spread, angle)
        if kind.startswith('generalized'):
            return gaussian_kernel(distance, _draw_beta(self.beta_gaussian))
        if kind.startswith('plateau'):
            return plateau_kernel(distance, _draw_beta(self.beta_plateau))
        return gaussian_kernel(distance)

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        return filter_image(image, self.draw_kernel())


@MODELS.register_module()
class GaussianNoise(Degradation):
    r"""Additive white Gaussian noise, within [0, 1].

    .. math::
        y = x + \frac{std}{255}\, n, \quad n \sim \mathcal{N}(0, 1)

    for each pixel and channel, or, if it is grey, for each pixel.

    Args:
        std (float | tuple[float, float]): In 8-bit levels, on the image it is
            given: put it after the downsampling step for noise on LR. Or a
            range to draw it from.
        grey (float): How often all channels of a pixel get the same noise, as
            grey images need, which then stay grey: of 0 to 1, or a boolean.
            Defaults to never.
        train_std (float | tuple[float, float], optional): ``std`` in
            training: 0 to train without noise, as SR2 does.
            Defaults to None: it is ``std``.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(
        self,
        std: Span,
        grey: float = False,
        train_std: Optional[Span] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.std = std
        self.grey = _check_grey(self, grey)
        self.train_std = train_std
        _check_stds(self)

    @property
    def alone(self) -> bool:
        """See :class:`Degradation`."""
        low, high = _std_of(self)
        if low == high == 0:
            return False
        return low < high or self.grey not in (0, 1) or not self.training

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        std = draw(_std_of(self))
        self.told = dict(noise_std=std)
        if std == 0:
            return image
        like = image[:, :1] if happens(self.grey) else image
        return (image + std / 255 * self.noise(like)).clamp(0, 1)


@MODELS.register_module()
class PoissonNoise(Degradation):
    r"""The noise of counted light, as Real-ESRGAN has it; within [0, 1].

    .. math::
        y = x + s \left(\frac{p}{v} - x\right),
        \quad p \sim \mathrm{Poisson}(v\,x)

    where v is the number of 8-bit levels that the image has, rounded up to a
    power of two, and x is rounded to 8 bits.

    Args:
        strength (float | tuple[float, float]): The factor s, or a range to
            draw it from.
        grey (float): How often all channels get the noise of the luminance:
            of 0 to 1, or a boolean. Defaults to never.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(self, strength: Span, grey: float = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.strength = check_span('PoissonNoise.strength', strength)
        self.grey = _check_grey(self, grey)

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        strength = draw(self.strength)
        like = image
        if happens(self.grey):
            like = rgb_to_grayscale(self.bands.look(image))
        levels = to_levels(like)
        # not `unique`, which a device has to wait for
        found = levels.new_zeros(256)
        found.scatter_(0, levels.flatten().long(), 1)
        most = 2 ** found.sum().log2().ceil()
        rate = levels / 255 * most
        # devices draw differently
        where = image.device if self.training else 'cpu'
        counts = torch.poisson(rate.to(where)).to(image)
        noise = counts / most - levels / 255
        return (image + strength * noise).clamp(0, 1)


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
        quality (int | tuple[int, int]): From 1 (worst) to 100, or a range to
            draw it from.
        **kwargs: See :class:`Degradation`.
    """

    def __init__(self, quality: Span, **kwargs) -> None:
        super().__init__(**kwargs)
        self.quality = check_span('JPEG.quality', quality, 1, 100)

    def degrade(self, image: Tensor) -> Tensor:
        """See :class:`Degradation`."""
        levels = to_levels(image[0]).byte().cpu()
        file = encode_jpeg(levels, round(draw(self.quality)))
        decoded = decode_jpeg(file, ImageReadMode.RGB)
        return decoded[None].to(image).div(255)


def happens(probability: float) -> bool:
    """With a probability; a certain event needs no randomness."""
    if probability in (0, 1):
        return bool(probability)
    return draw((0, 1)) < probability


def _check_grey(step: Degradation, grey: float) -> float:
    if not isinstance(grey, (int, float)) or not 0 <= grey <= 1:
        raise ValueError(
            f'{type(step).__name__}.grey={grey!r}: expected how often, of 0 '
            'to 1, or a boolean.'
        )
    return grey


def _check_stds(step: Union[GaussianBlur, GaussianNoise]) -> None:
    for name in ('std', 'train_std'):
        span = getattr(step, name)
        if span is not None or name == 'std':
            check_span(f'{type(step).__name__}.{name}', span)


def _std_of(step: Union[GaussianBlur, GaussianNoise]) -> Tuple[float, float]:
    drawn = step.training and step.train_std is not None
    name, std = ('train_std', step.train_std) if drawn else ('std', step.std)
    return check_span(f'{type(step).__name__}.{name}', std)


def _draw_beta(span: Tuple[float, float]) -> float:
    """As often below 1 as above."""
    low, high = span
    return draw((min(low, 1), 1) if happens(0.5) else (1, max(high, 1)))


def _check_prob(
    name: str, prob: Optional[Sequence[float]], number: int
) -> List[float]:
    prob = [1.0] * number if prob is None else [float(p) for p in prob]
    if len(prob) != number or min(prob, default=0) < 0 or not sum(prob):
        raise ValueError(
            f'{name}={prob}: expected {number} numbers of 0 or more, not all '
            'of them 0.'
        )
    return prob
