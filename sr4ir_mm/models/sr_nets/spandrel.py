import inspect
import math
import sys
from difflib import get_close_matches
from functools import reduce
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from sr4ir_mm.registry import MODELS
from sr4ir_mm.utils.mistakes import few

from ..band_networks import RGB
from ..pretrained import prefixes_off, unwrap
from .edsr_files import edsr_options

# What networks call the number of their channels.
CHANNELS = (
    *('in_channels', 'out_channels', 'in_chans', 'out_chans', 'inp_channels'),
    *('num_in_ch', 'num_out_ch', 'in_ch', 'out_ch', 'in_nc', 'out_nc'),
    *('img_channel', 'img_channels', 'n_colors'),
)
# And the sides of their windows.
_WINDOWS = ('window_size', 'split_size')


@MODELS.register_module()
class Spandrel(nn.Module):
    """Any SR network that spandrel knows (https://pypi.org/project/spandrel).

    In a config, ``init_cfg`` with a file is enough: its weights tell ``arch``
    and the options (:func:`by_name`), and options beside it replace those
    that were guessed. A file of EDSR, which spandrel does not know, becomes
    ``sr4ir_mm.EDSRNet``.

    What spandrel's own call would do is left out: it clamps, ends gradients,
    and leaves the network in eval mode. Images of sizes that the network does
    not take are continued at the bottom and at the right. Where spandrel says
    that a network cannot compute in half precision, it is exact inside of
    autocast.

    Args:
        arch (str): Name of the network, such as ``SPAN``, ``Compact`` or
            ``HAT``.
        **options: Those of the network's class.
    """

    def __init__(self, arch: str, **options) -> None:
        super().__init__()
        architecture, kind = _find(arch)
        try:
            inspect.signature(kind).bind(**options)
        except TypeError as error:
            raise ValueError(
                f'model.sr_net.arch={arch!r}: {error}. Its options are '
                f'{", ".join(inspect.signature(kind).parameters)}.'
            ) from error
        self.network = kind(**options)
        about = architecture.load(dict(self.network.state_dict()))
        _check(about, f'model.sr_net.arch={arch!r}')
        self.arch = arch
        self.scale = about.scale
        self.sizes = about.size_requirements
        supports = {
            torch.float16: about.supports_half,
            torch.bfloat16: about.supports_bfloat16,
        }
        self.unsupported = [dtype for dtype in supports if not supports[dtype]]
        # some return more than the image, or want to be told the scale
        self.call = about._call_fn
        # as views ask for it: pieces of an image are cut at multiples of it
        self.window_size = reduce(_lcm, _windows(self.network), 1)
        self.window_size = _lcm(self.window_size, self.sizes.multiple_of)

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): In [0, 1], (N, C, h, w). Some networks write into it
                (RCAN).

        Returns:
            Tensor: Around [0, 1], (N, C, h * scale, w * scale).
        """
        height, width = lr.shape[2:]
        right, low = self.sizes.get_padding(width, height)
        if right or low:
            lr = F.pad(lr, (0, right, 0, low), mode='replicate')
        if self._computes_in(lr.device.type):
            sr = self.call(self.network, lr)
        else:
            with torch.autocast(lr.device.type, enabled=False):
                sr = self.call(self.network, lr)
        return sr[..., : height * self.scale, : width * self.scale]

    def _computes_in(self, device: str) -> bool:
        """Whether it can in what autocast would make of its numbers."""
        if not self.unsupported:
            return True  # PyTorch 2.1 does not compile the rest
        if hasattr(torch, 'get_autocast_dtype'):
            dtype = torch.get_autocast_dtype(device)
        elif device == 'cuda':  # until PyTorch 2.3
            dtype = torch.get_autocast_gpu_dtype()
        else:
            dtype = torch.get_autocast_cpu_dtype()
        return dtype not in self.unsupported

    def check_bands(self, number: int) -> None:
        """See whether it does make images of so many bands.

        Raises:
            ValueError: If not: some have something for RGB inside of them,
                whatever their options.
        """
        training = self.training
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, number, 16, 16))
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ValueError(
                f'model.sr_net.arch={self.arch!r} does not take model.bands.'
                f'number={number} ({error}). EDSRNet does.'
            ) from error
        finally:
            self.train(training)

    def read_weights(self, weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Weights of this architecture by the names that they have here, if
        they are that; the same, if not.

        Args:
            weights (dict): By the names of any release of it.
        """
        for candidate in prefixes_off(weights):
            about = _describe(candidate)
            if about is not None and type(about.model) is type(self.network):
                found = about.model.state_dict()
                return {f'network.{k}': value for k, value in found.items()}
        return weights


def by_name(cfg: dict) -> dict:
    """Of a config that has an SR network's file alone, one that names the
    network, too: it builds where the file is not.

    Args:
        cfg (dict): Of any SR network.

    Returns:
        dict: ``cfg``, if there is nothing to add.

    Raises:
        RuntimeError: If the file cannot be read.
        ValueError: If it is of no network that is known.
    """
    if cfg.get('type') != f'sr4ir_mm.{Spandrel.__name__}' or cfg.get('arch'):
        return cfg
    file = (cfg.get('init_cfg') or {}).get('checkpoint')
    if not file:
        raise ValueError(
            'model.sr_net has neither `arch`, the name of a network of '
            'spandrel, nor a file that tells it: init_cfg=dict(type='
            "'Pretrained', checkpoint=...)."
        )
    found, _ = read_network(file)
    given = {k: v for k, v in cfg.items() if k not in ('type', 'arch')}
    return {**found, **given}


def read_network(file: str) -> Tuple[dict, int]:
    """What SR network a file is of.

    Args:
        file (str): Its path or address: ``*.pth`` or ``*.safetensors``.

    Returns:
        tuple[dict, int]: Config of the network, with its weights, and its
        scale.
    """
    key = f'model.sr_net.init_cfg.checkpoint={file}'
    try:
        content = CheckpointLoader.load_checkpoint(file, map_location='cpu')
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise RuntimeError(
            f'{key}: {error} It tells what network it is of: give a file that '
            f'{"is there" if missing else "can be read"}, or `arch` and its '
            'options.'
        ) from error
    weights = unwrap(content) if isinstance(content, dict) else {}
    init_cfg = dict(type='Pretrained', checkpoint=file)
    for candidate in prefixes_off(weights):
        options = edsr_options(candidate)
        if options is not None:
            cfg = dict(type='sr4ir_mm.EDSRNet', **options, init_cfg=init_cfg)
            return cfg, options['upscale_factor']
        about = _describe(candidate)
        if about is not None:
            _check(about, key)
            cfg = dict(type='sr4ir_mm.Spandrel', **_options(about.model))
            return dict(cfg, init_cfg=init_cfg), about.scale
    raise ValueError(
        f'{key}: spandrel knows no network of such weights '
        f'({few(weights, 3) or "none"}). If it is one of mmagic or of this '
        'package, name its type and options in model.sr_net.'
    )


def channel_keys(cfg: dict) -> List[str]:
    """The arguments that say how many channels an SR network reads and makes.

    Args:
        cfg (dict): Of any SR network; of :class:`Spandrel`, with ``arch``.

    Returns:
        list[str]: Those that are given, or that the network of spandrel has.
    """
    options = cfg
    if cfg.get('type') == f'sr4ir_mm.{Spandrel.__name__}':
        options = inspect.signature(_find(cfg['arch'])[1]).parameters
    return [key for key in CHANNELS if key in options]


def _check(about: Any, key: str) -> None:
    """Refuse what is no SR network.

    Args:
        about: spandrel's descriptor.
        key (str): What names it in the config.
    """
    if about.purpose not in ('SR', 'Restoration'):
        raise ValueError(
            f'{key} is for {about.purpose}: expected a network that makes any '
            'image better.'
        )
    channels = about.input_channels, about.output_channels
    if channels[0] != channels[1]:
        raise ValueError(
            f'{key} reads {channels[0]} channels and makes {channels[1]}: SR '
            'networks make as many as they read.'
        )


def _spandrel():
    try:
        import spandrel
    except ImportError as error:
        raise ImportError(
            f'sr4ir_mm.Spandrel needs spandrel ({error}): `pip install '
            'spandrel`, on Python 3.10 or later.'
        ) from error
    return spandrel


def _networks() -> Dict[str, Tuple[Any, type]]:
    """Architectures and classes of networks, by the names of these."""
    found = {}
    for entry in _spandrel().MAIN_REGISTRY:
        home = sys.modules[type(entry.architecture).__module__]
        for name in home.__all__:
            kind = getattr(home, name)
            if isinstance(kind, type) and issubclass(kind, nn.Module):
                found[name] = entry.architecture, kind
    return found


def _find(arch: str) -> Tuple[Any, type]:
    networks = _networks()
    if arch not in networks:
        nearest = get_close_matches(str(arch), networks, len(networks), 0)
        raise ValueError(
            f'model.sr_net.arch={arch!r} is no network of spandrel. It has '
            f'{", ".join(nearest)}.'
        )
    return networks[arch]


def _describe(weights: Dict[str, Tensor]) -> Optional[Any]:
    """spandrel's descriptor of a network with such weights, if it knows it."""
    spandrel = _spandrel()
    try:
        return spandrel.MAIN_REGISTRY.load(dict(weights))
    except spandrel.UnsupportedModelError:
        return None


def _options(network: nn.Module) -> dict:
    """What builds a network of spandrel: its name, and what is not default."""
    kind = type(network)
    arch = next(k for k, (_, other) in _networks().items() if other is kind)
    defaults = inspect.signature(kind).parameters
    options = {
        name: value
        for name, value in network.hyperparameters.items()
        # of channels, RGB is the default here
        if value != (RGB if name in CHANNELS else defaults[name].default)
    }
    return dict(arch=arch, **options)


def _windows(network: nn.Module) -> list:
    sides = [network.hyperparameters.get(name, 1) for name in _WINDOWS]
    return [
        side
        for given in sides
        for side in (given if isinstance(given, (list, tuple)) else [given])
    ]


def _lcm(one: int, other: int) -> int:
    return one * other // math.gcd(one, other)
