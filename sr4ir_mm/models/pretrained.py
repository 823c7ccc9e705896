"""Pre-trained weights fit, or somebody is told."""

import re
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional
from unittest import mock

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch.nn as nn
from mmengine.logging import MMLogger
from mmengine.model.weight_init import PretrainedInit
from torch import Tensor

# What the field wraps weights in, and what it puts before their names.
_WRAPS = ('state_dict', 'params_ema', 'params', 'model', 'weights')
_PREFIXES = ('module.', 'model.', 'generator_ema.', 'generator.', 'sr_net.')
_PREFIXES += ('task_model.', 'backbone.', 'net_g.')
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

    best, level = weights, [weights]
    for _ in range(_DEPTH):
        level = [
            {
                name[len(prefix) :]: value
                for name, value in candidate.items()
                if name.startswith(prefix)
            }
            for candidate in level
            for prefix in _PREFIXES
            if any(name.startswith(prefix) for name in candidate)
        ]
        best = max([best, *level], key=fit)
    return best


def load_fitting(
    network: nn.Module, file: dict, source: str, prefix: Optional[str] = None
) -> None:
    """Load what fits of pre-trained weights, and say how much that is.

    Args:
        network (nn.Module): Of any package.
        file (dict): What was read of a file.
        source (str): Its name, for messages.
        prefix (str, optional): Of the network's weights in it. Defaults to
            what fits best.

    Raises:
        ValueError: If next to nothing fits.
    """
    weights = unwrap(file)
    if prefix is None:
        weights = without_prefix(weights, network)
    else:
        prefix = f'{prefix.rstrip(".")}.'
        weights = {
            name[len(prefix) :]: value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
    try:  # it loads what fits, then tells; networks may convert names
        mmengine_checkpoint.load_state_dict(network, weights, strict=True)
        misfit = ''
    except RuntimeError as error:
        misfit = str(error)
    lost = {
        name
        for line in re.findall(
            r'missing keys in source state_dict: (.*)', misfit
        )
        for name in line.split(', ')
    } | set(re.findall(r'size mismatch for ([^\s:]+)', misfit))
    wanted = [k for k in network.state_dict() if not k.endswith(_UNCOUNTED)]
    say_what_fits(network, wanted, lost, list(weights or unwrap(file)), source)


def say_what_fits(
    network: nn.Module,
    wanted: List[str],
    lost: set,
    given: List[str],
    source: str,
) -> None:
    """Log how much of a network has been loaded; ValueError if next to
    nothing."""
    missing = [name for name in wanted if name in lost]
    number = len(wanted) - len(missing)
    text = f'{source}: {number} of {len(wanted)} tensors of '
    text += f'{type(network).__name__} are loaded'
    if number < FEW * len(wanted):
        raise ValueError(
            f'{text}: it wants {_few(missing)}; the file has {_few(given)}. '
            'Take the file of this network (and its size and scale), or say '
            'by init_cfg.prefix what comes before its names.'
        )
    logger = MMLogger.get_current_instance()
    if missing:
        logger.warning(
            f'{text}; not in it, or of another shape: {_few(missing)}.'
        )
    else:
        logger.info(f'{text}.')


def _few(names: List[str]) -> str:
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return (', '.join(names[:3]) or 'nothing') + more


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
    load_alone = nn.Module.load_state_dict

    def load_pretrained(self, module: nn.Module) -> None:
        file = mmengine_checkpoint._load_checkpoint(
            self.checkpoint, map_location=self.map_location
        )
        load_fitting(module, file, self.checkpoint, self.prefix)

    def load_and_count(self, weights, strict=True, **kwargs):
        # of backbones that read their files themselves
        found = load_alone(self, weights, strict, **kwargs)
        wanted = [k for k in self.state_dict() if not k.endswith(_UNCOUNTED)]
        if not strict and wanted:
            source = 'init_cfg.checkpoint'
            lost = set(found.missing_keys)
            say_what_fits(self, wanted, lost, list(weights), source)
        return found

    try:
        with mock.patch.object(
            PretrainedInit, '__call__', load_pretrained
        ), mock.patch.object(nn.Module, 'load_state_dict', load_and_count):
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
