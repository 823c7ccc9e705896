"""What is found wrong with a set-up before it trains."""

from difflib import get_close_matches
from typing import List

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from mmengine.utils import is_seq_of
from torch import nn

from sr4ir_mm.models.phased_model import NETWORKS


def check_optimizers(cfg: Config, model: nn.Module) -> None:
    """Raise ValueError for an optimizer or a schedule of a network that there
    is not, KeyError for an unknown optimizer."""
    networks = list(getattr(model, 'networks', ()))
    if not networks:  # no model of this package
        return
    optimizers = cfg.get('optim_wrapper')
    schedules = cfg.get('param_scheduler')
    named = {
        key: [
            name
            for name, value in group.items()
            if isinstance(value, (dict, list))
        ]
        for key, group in (
            ('optim_wrapper', optimizers),
            ('param_scheduler', schedules),
        )
        if isinstance(group, dict) and 'type' not in group
    }
    for key, names in named.items():
        # a schedule of a network that this recipe has not is no harm
        known = networks if key == 'optim_wrapper' else NETWORKS
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 1)
                raise ValueError(
                    f'{key}.{name}: the model has no such network. It has '
                    f'{" and ".join(networks)}'
                    + (f': did you mean {near[0]}?' if near else '.')
                )
    for name in named.get('optim_wrapper', []):
        optimizer = optimizers[name].get('optimizer', {})
        rate = optimizer.get('lr', 0)
        if not isinstance(rate, (int, float)) or not 0 <= rate < float('inf'):
            raise ValueError(
                f'optim_wrapper.{name}.optimizer.lr={rate!r}: expected a '
                'finite number, 0 or more.'
            )
        kind = optimizer.get('type')
        if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
            raise KeyError(f"'{kind} is not in the optimizer registry")
    if 'optim_wrapper' in named and 'param_scheduler' in named:
        for name in named['optim_wrapper']:
            if name not in named['param_scheduler']:
                raise ValueError(
                    f'param_scheduler has no {name}, which optim_wrapper has: '
                    'add its list of schedules, which may be empty.'
                )


def check_classes(model: nn.Module, dataset) -> None:
    """Raise ValueError if a data set has more classes than the model."""
    metainfo = getattr(dataset, 'metainfo', None) or {}
    classes = metainfo.get('classes')
    task_model = getattr(model, 'task_model', None)
    if task_model is None or not is_seq_of(classes, str):
        return
    heads = {
        name: module.num_classes
        for name, module in task_model.named_modules()
        if isinstance(getattr(module, 'num_classes', None), int)
        and name  # of a head, not what the model passes on
        and not name.startswith('data_preprocessor')
    }
    # a single class: of an RPN, or whatever the object is
    most = max(heads.values(), default=1)
    if 1 < most < len(classes):
        name = max(heads, key=heads.get)
        raise ValueError(
            f'model.task_model.{name}.num_classes={most}, but the training '
            f'data have {len(classes)} classes: {", ".join(classes[:5])}'
            f'{" ..." if len(classes) > 5 else ""}. Set it to that.'
        )


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
