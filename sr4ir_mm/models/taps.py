from contextlib import contextmanager
from typing import Callable, Iterator, List, Sequence, Union

import torch.nn as nn
from torch import Tensor


def read_taps(
    network: nn.Module,
    extract_maps: Callable[[Tensor], Sequence],
    taps: Sequence[Union[int, str]],
    inputs: Tensor,
    samples: Sequence,
) -> List[Tensor]:
    """Features of a task model in eval mode, of which no more runs than the
    taps need.

    Args:
        network (nn.Module): A model of a toolbox.
        extract_maps (Callable): Gives its feature maps, without its heads.
        taps (Sequence[int | str]): Indices of these maps, or names of the
            network's modules.
        inputs (Tensor): Task-normalised, (N, 3, h, w).
        samples (Sequence): The toolbox's data samples.

    Raises:
        ValueError: If there is no such map or module, it is no tensor, or no
            gradient leads from it to the image.
    """
    training = network.training
    if training:
        network.eval()
    try:
        if isinstance(taps[0], str):
            features = tap_modules(network, taps, inputs, samples)
        else:
            features = tap_maps(extract_maps(inputs), taps)
    finally:
        if training:
            network.train()
    for tap, feature in zip(taps, features):
        if not isinstance(feature, Tensor):
            raise ValueError(
                f'TDPLoss.taps: {tap!r} gives {type(feature).__name__}, '
                'not a tensor, when the task model runs.'
            )
        if inputs.requires_grad and not feature.requires_grad:
            raise ValueError(
                f'TDPLoss.taps: no gradient leads from {tap!r} to the '
                'image. Is it inside of a block with `with_cp=True`?'
            )
    return features


def tap_maps(maps: Union[Tensor, Sequence], taps: Sequence[int]) -> list:
    """Feature maps of a task model, by their indices.

    Args:
        maps (Tensor | Sequence): What its ``extract_feat`` returned: maps of
            its features, (N, C, h, w), or a single one.
        taps (Sequence[int]): Indices.

    Raises:
        ValueError: If there is no such map.
    """
    if isinstance(maps, Tensor):
        maps = (maps,)
    for tap in taps:
        if not -len(maps) <= tap < len(maps):
            raise ValueError(
                f'TDPLoss.taps: no feature map {tap}; the task model '
                f'has {len(maps)}, 0 to {len(maps) - 1}.'
            )
    return [_map_of(maps[tap]) for tap in taps]


def _map_of(stage):
    """Of a stage that gives several tensors, such as a map and a class token
    (mmseg's DPT, mmpretrain's Conformer), the first."""
    while isinstance(stage, (list, tuple)) and stage:
        stage = stage[0]
    return stage


class _Stop(Exception):
    """Every tap has been read."""


def tap_modules(
    network: nn.Module, taps: Sequence[str], inputs: Tensor, samples
) -> List[Tensor]:
    """Outputs of named modules of a task model, which runs only until it has
    them all.

    Args:
        network (nn.Module): A model of a toolbox.
        taps (Sequence[str]): Names of its modules, as in ``named_modules()``.
            Of one that runs several times, the first output is taken.
        inputs (Tensor): Task-normalised, (N, 3, h, w).
        samples (list): The toolbox's data samples.

    Returns:
        list[Tensor]: What each gives; None if it does not run.

    Raises:
        ValueError: If there is no such module.
    """
    modules = find_modules(network, taps)
    found = {}

    def read(module: nn.Module, _, output) -> None:
        # what follows may work on it in place
        is_tensor = isinstance(output, Tensor)
        found.setdefault(module, output.clone() if is_tensor else output)
        if len(found) == len(set(taps)):
            raise _Stop

    handles = [module.register_forward_hook(read) for module in set(modules)]
    try:
        network(inputs, samples, mode='tensor')
    except _Stop:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [found.get(module) for module in modules]


@contextmanager
def recorded(
    model: nn.Module, taps: Sequence[Union[int, str]]
) -> Iterator[List[Tensor]]:
    """Inside, the task model's next forward pass leaves its features in the
    list, in the order of the taps.

    Args:
        model (SRTaskModel): The model.
        taps (Sequence[int | str]): See :func:`read_taps`.

    Raises:
        ValueError: If there is no such map or module, or it does not run.
    """
    found = {}

    def read(module: nn.Module, _, output) -> None:
        if module not in found:  # the first pass, as in `tap_modules`
            maps = tap_maps(output, taps) if by_index else [output]
            found[module] = [x.clone() for x in maps]

    by_index = not isinstance(taps[0], str)
    if by_index:
        modules = [model.maps_module]
    else:
        modules = find_modules(model.task_model, taps)
    handles = [module.register_forward_hook(read) for module in set(modules)]
    features: List[Tensor] = []
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()
    for module in modules:
        if module not in found:
            raise ValueError(
                f'taps={list(taps)}: {type(module).__name__} does not run '
                'when the task model computes its losses.'
            )
        features += found[module]


def find_modules(network: nn.Module, names: Sequence[str]) -> List[nn.Module]:
    """Modules of a task model by their names, or ValueError."""
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise ValueError(
                f'TDPLoss.taps: the task model has no module {name!r}. '
                'See `print(model.task_model)` for what it has.'
            )
    return [modules[name] for name in names]
