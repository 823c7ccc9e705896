import re
from typing import Dict, List, Sequence

from torch import Tensor, nn

from sr4ir_mm.models.phased_model import NETWORKS
from sr4ir_mm.models.pretrained import FEW

_SHOWN = 2  # names of each kind


def get_weights(checkpoint: dict) -> Dict[str, Tensor]:
    """The weights in a checkpoint, by name; the checkpoint's own dict."""
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict):
        raise ValueError(
            f'It holds a {type(weights).__name__}, not weights by name.'
        )
    return weights


def bare_weights(checkpoint: dict) -> Dict[str, Tensor]:
    """The same, without what distributed training puts before the names."""
    return {
        re.sub(r'^module\.', '', name): weight
        for name, weight in get_weights(checkpoint).items()
    }


def complete(
    checkpoint: dict, model: nn.Module, absent: Sequence[str]
) -> List[str]:
    """Let a checkpoint match a model in the networks that it need not have.

    Args:
        checkpoint (dict): Networks of ``absent`` that it lacks are filled in
            from the model; networks that the model lacks are left out.
        model (nn.Module): An :class:`SRTaskModel`; others are left alone.
        absent (Sequence[str]): Names of networks.

    Returns:
        list[str]: The networks that were filled in.
    """
    networks = getattr(model, 'networks', {})
    weights = get_weights(checkpoint)
    has = {
        name
        for name in NETWORKS
        if any(re.match(rf'(module\.)?{name}\.', key) for key in weights)
    }
    if not networks or not has:
        return []
    for name in has - set(networks):
        for key in [k for k in weights if re.match(rf'(module\.)?{name}', k)]:
            del weights[key]
    filled = [name for name in networks if name in absent and name not in has]
    for name in filled:
        for key, value in networks[name].state_dict().items():
            weights[f'{name}.{key}'] = value
    return filled


def check_scale(checkpoint: dict, model: nn.Module, filename: str) -> None:
    """Raise ValueError if the SR network was trained for another scale; many
    have weights of one shape for all of them."""
    sr_net = getattr(model, 'sr_net', None)
    scale = checkpoint.get('meta', {}).get('scale')
    if sr_net is None or getattr(sr_net, 'any_scale', False):
        return
    if scale not in (None, model.scale):
        raise ValueError(
            f'{filename} was trained for scale {scale}, but model.scale='
            f'{model.scale}. Take the config that it was trained with.'
        )


def check_overlap(checkpoint: dict, model: nn.Module, filename: str) -> str:
    """How much of a model a checkpoint has, in words; ValueError if next to
    nothing."""
    own = model.state_dict()
    given = bare_weights(checkpoint)
    fits = [k for k in own if k in given and given[k].shape == own[k].shape]
    text = f'{len(fits)} of {len(own)} tensors are loaded'
    if len(fits) < FEW * len(own):
        raise ValueError(
            f'{filename}: {text}: it is of another model '
            f'({describe_misfit(checkpoint, model)}).'
        )
    return f'{text}.'


def describe_misfit(checkpoint: dict, model: nn.Module) -> str:
    """Which weights are missing, unexpected or of another shape; empty if
    none."""
    own = model.state_dict()
    given = bare_weights(checkpoint)
    missing = [
        key
        for key in own
        if key not in given and not key.endswith('num_batches_tracked')
    ]
    unexpected = [key for key in given if key not in own]
    misshaped = [
        f'{key} {tuple(given[key].shape)} for {tuple(own[key].shape)}'
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    if not set(own) & set(given) and hasattr(model, 'networks'):
        return (
            f'its weights ({", ".join(unexpected[:_SHOWN])} ...) are below '
            'neither sr_net. nor task_model.; weights of a plain task model '
            "go to model.task_model.init_cfg=dict(type='Pretrained', "
            'checkpoint=...), those of an SR network to model.sr_net.init_cfg'
        )
    kinds = dict(
        missing=missing,
        unexpected=unexpected,
        **{'of another shape': misshaped},
    )
    return '; '.join(
        f'{len(keys)} {kind}: {", ".join(keys[:_SHOWN])}'
        + (' ...' if len(keys) > _SHOWN else '')
        for kind, keys in kinds.items()
        if keys
    )
