"""Pre-trained weights fit, or somebody is told."""

import logging
import re
import sys
from contextlib import ExitStack, contextmanager
from typing import Dict, Iterator, List, Optional, Sequence, Set
from unittest import mock

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch.nn as nn
from mmengine.logging import MMLogger
from mmengine.model.weight_init import PretrainedInit
from torch import Tensor

from sr4ir_mm.utils.mistakes import few

# It is replaced while a model of ours initializes.
_load_state_dict = mmengine_checkpoint.load_state_dict

# What the field wraps weights in, and what it puts before their names.
_WRAPS = ('state_dict', 'params_ema', 'params-ema', 'params', 'model')
_WRAPS += ('weights', 'model_state_dict', 'net')
_PREFIXES = ('module.', 'model.', 'generator_ema.', 'generator.', 'sr_net.')
_PREFIXES += ('task_model.', 'backbone.', 'net_g.', 'netG.', 'features.')
_PREFIXES += ('network.',)
_DEPTH = 3  # prefixes one behind the other
FEW = 0.1  # of a network's tensors are next to nothing
_UNCOUNTED = 'num_batches_tracked'  # which old BatchNorms lack


def unwrap(file: dict) -> Dict[str, Tensor]:
    """The weights in a file, without what they are wrapped in."""
    for _ in range(_DEPTH):
        inner = [
            file[key] for key in _WRAPS if isinstance(file.get(key), dict)
        ]
        if not inner:
            break
        file = inner[0]
    return {k: v for k, v in file.items() if isinstance(v, Tensor)}


def without_prefix(
    weights: Dict[str, Tensor], network: nn.Module
) -> Dict[str, Tensor]:
    """Those of some weights that are a network's: without the prefixes of the
    field, of which those are taken after which most names and shapes fit."""
    own = {name: value.shape for name, value in network.state_dict().items()}

    def fit(candidate: Dict[str, Tensor]) -> int:
        return sum(own.get(k) == v.shape for k, v in candidate.items())

    return max(prefixes_off(weights), key=fit)


def prefixes_off(weights: Dict[str, Tensor]) -> Iterator[Dict[str, Tensor]]:
    """Some weights as they are, and what is below the prefixes of the field,
    those with the fewest taken off first."""
    yield weights
    level = [weights]
    for _ in range(_DEPTH):
        level = [
            _below(prefix, candidate)
            for candidate in level
            for prefix in _PREFIXES
            if any(name.startswith(prefix) for name in candidate)
        ]
        yield from level


def load_fitting(
    network: nn.Module,
    file: dict,
    source: str,
    prefix: Optional[str] = None,
    whole: bool = False,
) -> None:
    """Load what fits of the weights in a file, and say how much that is.

    Args:
        network (nn.Module): Of any package.
        file (dict): What was read of a file.
        source (str): Its name, for messages.
        prefix (str, optional): Of the network's weights in it. Defaults to
            what fits best.
        whole (bool): Whether all of the network must be in it, and nothing
            else. Defaults to False.

    Raises:
        ValueError: If next to nothing fits, or not the whole network, or what
            has been loaded is not finite.
    """
    if not isinstance(file, dict):
        raise ValueError(
            f'{source} holds a {type(file).__name__}, not weights by name.'
        )
    given = weights = unwrap(file)
    if prefix is not None:
        weights = _below(f'{prefix.rstrip(".")}.', given)
    if hasattr(network, 'read_weights'):  # it has other names elsewhere
        weights = network.read_weights(weights)
    if prefix is None:
        weights = without_prefix(weights, network)
    _load(network, weights, source, whole, list(weights or given))


def _below(prefix: str, weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {
        name[len(prefix) :]: value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _load(
    network: nn.Module,
    weights: Dict[str, Tensor],
    source: str,
    whole: bool = False,
    given: Sequence[str] = (),
) -> None:
    misfit = ''
    with stays_finite(network, source):
        try:  # it loads what fits, then tells; networks may convert names
            _load_state_dict(network, weights, strict=True)
        except RuntimeError as error:
            misfit = str(error)
    missing, extra = (
        ', '.join(re.findall(rf'{kind} in source state_dict: (.*)', misfit))
        for kind in ('missing keys', 'unexpected key')
    )
    lost = {
        *missing.split(', '),
        *re.findall(r'size mismatch for ([^\s:]+)', misfit),
    }
    extra = [name for name in extra.split(', ') if name]
    _say_what_fits(network, lost, extra, list(given or weights), source, whole)


def _say_what_fits(
    network: nn.Module,
    lost: Set[str],
    extra: List[str],
    given: List[str],
    source: str,
    whole: bool = False,
) -> None:
    """Log how much of a network has been loaded; ValueError if that is too
    little."""
    wanted = [k for k in network.state_dict() if not k.endswith(_UNCOUNTED)]
    missing = [name for name in wanted if name in lost]
    extra = [name for name in extra if not name.endswith(_UNCOUNTED)]
    number = len(wanted) - len(missing)
    text = f'{source}: {number} of {len(wanted)} tensors of '
    text += f'{type(network).__name__} are loaded'
    if number < FEW * len(wanted):
        raise ValueError(
            f'{text}: it wants {few(missing, 3)}; the file has '
            f'{few(given, 3) or "nothing"}. '
            'Take the file of this network, of its size and scale. (Of an '
            'init_cfg, `prefix` says what comes before its names.)'
        )
    if missing:
        text += f'; not in it, or of another shape: {few(missing, 3)}'
    if extra:
        text += f"; {len(extra)} of the file's are not: {few(extra, 3)}"
    if whole and (missing or extra):
        raise ValueError(f'{text}. It is of another network.')
    # a head that a backbone has not is what files usually have
    part = missing or len(extra) > FEW * len(given)
    level = logging.WARNING if part else logging.INFO
    MMLogger.get_current_instance().log(level, f'{text}.')


def not_finite(model: nn.Module) -> List[str]:
    """Names of the parameters that hold NaN or infinity, and of the buffers
    that hold NaN (a mask may be infinite)."""
    found = [
        name
        for name, param in model.named_parameters()
        if not param.isfinite().all()
    ]
    return found + [
        name
        for name, buffer in model.named_buffers()
        if buffer.is_floating_point() and buffer.isnan().any()
    ]


@contextmanager
def stays_finite(model: nn.Module, source: str) -> Iterator[None]:
    """Raise ValueError if what is loaded into a model inside is not finite,
    where it has been before (a mask may be infinite)."""
    before = not_finite(model)
    yield
    spoilt = [name for name in not_finite(model) if name not in before]
    if spoilt:
        raise ValueError(
            f'{source} is refused: {len(spoilt)} tensors of its weights are '
            f'NaN or infinite, first {spoilt[0]}. Take a checkpoint from '
            'before the training that made it went wrong.'
        )


@contextmanager
def fitting_weights(model: nn.Module) -> Iterator[None]:
    """Inside, pre-trained weights that do not fit the networks of a model are
    errors or warnings, and a file that cannot be read is named.

    Args:
        model (nn.Module): What is initialized.

    Raises:
        RuntimeError: With the config keys and the ways out, if a file cannot
            be read or fetched.
        ValueError: If next to nothing of one fits.
    """
    names = {module: name for name, module in model.named_modules()}
    load_alone = nn.Module.load_state_dict

    def source(module: nn.Module, file: Optional[str] = None) -> str:
        cfg = getattr(module, 'init_cfg', None)
        if file is None and isinstance(cfg, dict):
            file = cfg.get('checkpoint')
        name = names.get(module, type(module).__name__)
        return f'model.{name}.init_cfg.checkpoint={file}'

    def load_pretrained(self, module: nn.Module) -> None:
        file = mmengine_checkpoint._load_checkpoint(
            self.checkpoint, map_location=self.map_location
        )
        load_fitting(
            module, file, source(module, self.checkpoint), self.prefix
        )

    # of backbones that read their files themselves, in either way

    def load_by_mmengine(module, weights, strict=False, logger=None) -> None:
        _load(module, weights, source(module), whole=strict)

    def load_by_torch(self, weights, strict=True, **kwargs):
        with stays_finite(self, source(self)):
            found = load_alone(self, weights, strict, **kwargs)
        if not strict:
            _say_what_fits(
                self,
                set(found.missing_keys),
                found.unexpected_keys,
                list(weights),
                source(self),
            )
        return found

    try:
        with ExitStack() as stack:

            def replace(owner, name: str, value) -> None:
                stack.enter_context(mock.patch.object(owner, name, value))

            replace(PretrainedInit, '__call__', load_pretrained)
            replace(nn.Module, 'load_state_dict', load_by_torch)
            for module in list(sys.modules.values()):
                names_in = getattr(module, '__dict__', {})
                if names_in.get('load_state_dict') is _load_state_dict:
                    replace(module, 'load_state_dict', load_by_mmengine)
            yield
    except OSError as error:
        wanted = '\n'.join(
            f'  model.{name}.init_cfg: {module.init_cfg["checkpoint"]}'
            for name, module in model.named_modules()
            if _is_pretrained(getattr(module, 'init_cfg', None))
        )
        raise RuntimeError(
            f'Cannot load pre-trained weights ({error}). Of these, one is '
            f'out of reach:\n{wanted}\nEither point its '
            '`init_cfg.checkpoint` to a local file, or start from random '
            'weights with `init_cfg=None`, in the config or by --cfg-options.'
        ) from error


def _is_pretrained(init_cfg) -> bool:
    return isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained'
