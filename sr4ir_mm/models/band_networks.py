"""Networks for RGB that see other bands."""

from functools import partial
from typing import Dict, List, Tuple

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

from sr4ir_mm.registry import MODELS, require_package
from sr4ir_mm.utils.bands import Bands

from .image_space import swaps_channels

RGB = 3


def build_for_bands(cfg: dict, bands: Bands) -> nn.Module:
    """Build a task model for images of some bands.

    The toolboxes' data preprocessors normalise any number of them, but their
    constructors refuse most.

    Args:
        cfg (dict): Its config, unchanged from its toolbox.
        bands (Bands): Of the images.

    Raises:
        ValueError: If its data preprocessor is for other bands, or its
            backbone can see no others.
    """
    preprocessor = dict(cfg.get('data_preprocessor') or {})
    if swaps_channels(preprocessor):
        raise ValueError(
            'data_preprocessor swaps channels (bgr_to_rgb, rgb_to_bgr or '
            'to_rgb), and model.bands stay as they are loaded: set it to '
            'False.'
        )
    ranges = list(zip(bands.low, bands.high))
    shares = dict(mean=0.45, std=0.225)
    values = {}
    for key, share in shares.items():
        values[key] = preprocessor.pop(key, None) or [
            share * (high - low) + (low if key == 'mean' else 0)
            for low, high in ranges
        ]
        if len(values[key]) != bands.number:
            raise ValueError(
                f'data_preprocessor.{key} is of {len(values[key])} bands, and '
                f'model.bands.number={bands.number}: give one for each, in '
                f"the file's values, or {key}=None."
            )
    network = MODELS.build(dict(cfg, data_preprocessor=preprocessor))
    space = network.data_preprocessor
    for key, numbers in values.items():
        tensor = torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1)
        space.register_buffer(key, tensor, persistent=False)
    space._enable_normalize = True
    if bands.number != RGB:
        seeing = getattr(network, 'backbone', network)
        key = f'model.task_model.{type(seeing).__name__}'
        take_bands(seeing, bands, key)
        take_rgb_weights(seeing, bands, key)
    return network


def take_bands(network: nn.Module, bands: Bands, key: str) -> None:
    """Let a network see other bands than RGB: where its first convolution is
    for RGB, it becomes one for these.

    Args:
        network (nn.Module): With random weights.
        bands (Bands): Of the images.
        key (str): Its config key, for messages.

    Raises:
        ValueError: If its first convolution takes something else.
    """
    name, first = next(
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    )
    if first.in_channels == bands.number:
        return
    if first.in_channels != RGB or first.groups != 1:
        raise ValueError(
            f'{key}: its first convolution, {name}, takes '
            f'{first.in_channels} channels, and model.bands.number='
            f'{bands.number}: make it one for RGB, or for these.'
        )
    first.in_channels = bands.number
    shape = first.out_channels, bands.number, *first.kernel_size
    first.weight = nn.Parameter(first.weight.new_empty(shape))
    first.reset_parameters()


def take_rgb_weights(
    network: nn.Module, bands: Bands, key: str, makes_images: bool = False
) -> None:
    """Let a network for other bands load weights for RGB, whoever loads them.

    Convolutions of three channels are fitted by timm's rule: weights are
    repeated over the bands, so that equal bands look like grey; those of red,
    green and blue go to the bands that ``bands.rgb`` names.

    Args:
        network (nn.Module): Whose weights are loaded, alone or within others.
        bands (Bands): Of the images.
        key (str): Its config key, for the log.
        makes_images (bool): Whether it makes as many bands, as SR networks
            do. Defaults to False.
    """
    require_package('timm', 'model.bands, of other bands than RGB')
    hook = partial(_fit, bands=bands, key=key, makes_images=makes_images)
    network._register_load_state_dict_pre_hook(hook, with_module=True)


def take_rgb_mean(network: nn.Module, rgb: nn.Module) -> None:
    """Let an SR network for other bands subtract the mean of the one for RGB,
    which weights expect: networks do without, or have three numbers of it.

    Args:
        network (nn.Module): The network.
        rgb (nn.Module): The same for RGB. What its modules subtract is called
            ``mean``, (1, 3, 1, 1).
    """
    for name, module in rgb.named_modules():
        mean = getattr(module, 'mean', None)
        if isinstance(mean, Tensor) and mean.shape == (1, RGB, 1, 1):
            network.get_submodule(name).mean = mean.mean().view(1, 1, 1, 1)


def _fit(
    network: nn.Module,
    weights: Dict[str, Tensor],
    prefix: str,
    *_,
    bands: Bands,
    key: str,
    makes_images: bool,
) -> None:
    fitted = []
    for name, own in network.state_dict().items():
        given = weights.get(prefix + name)
        if given is None or given.shape == own.shape:
            continue
        if _differs(given, own, 1, bands):
            weights[prefix + name] = _fit_inputs(given, bands)
        elif makes_images and _differs(given, own, 0, bands):
            weights[prefix + name] = _fit_outputs(given, bands)
        else:
            continue
        fitted.append(name)
    if fitted:
        print_log(
            f'{key}: weights for RGB are fitted to {bands.number} bands '
            f'({", ".join(fitted)}).',
            'current',
        )


def _differs(given: Tensor, own: Tensor, dim: int, bands: Bands) -> bool:
    """Whether two shapes are the same but for RGB in the place of bands, in a
    dimension that may have each of them several times, as before a pixel
    shuffle."""
    if given.ndim != own.ndim or given.ndim <= dim:
        return False
    shapes = [list(given.shape), list(own.shape)]
    from_rgb, to_bands = (shape.pop(dim) for shape in shapes)
    times = 1 if dim else from_rgb // RGB
    return (
        shapes[0] == shapes[1]
        and from_rgb == RGB * times
        and to_bands == bands.number * times
    )


def _fit_inputs(weight: Tensor, bands: Bands) -> Tensor:
    from timm.models import adapt_input_conv

    fitted = adapt_input_conv(bands.number, weight)
    order, _ = _placed(bands)
    return fitted if bands.number == 1 else fitted[:, order]


def _fit_outputs(weight: Tensor, bands: Bands) -> Tensor:
    """Each band is made as the colour is whose weights it has."""
    each = weight.unflatten(0, (RGB, -1))
    if bands.number == 1:
        return each.mean(0)
    _, colors = _placed(bands)
    return each[colors].flatten(0, 1)


def _placed(bands: Bands) -> Tuple[List[int], List[int]]:
    """For each band, where timm's rule has its weights, and which colour's
    they are: of the bands to look at, their own; of others, in turn."""
    looked = list(dict.fromkeys(bands.rgb))
    others = [band for band in range(bands.number) if band not in looked]
    places = [*looked, *others]
    order = [places.index(band) for band in range(bands.number)]
    return order, [place % RGB for place in order]
