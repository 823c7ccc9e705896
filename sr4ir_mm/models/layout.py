from typing import Optional

import torch
import torch.nn as nn
from torch import Tensor

# Others look at their weights, as those that standardise them.
_PLAIN = (nn.Conv2d.forward, nn.ConvTranspose2d.forward)


def arrange_channels(network: Optional[nn.Module]) -> torch.memory_format:
    """Let a network of convolutions work on channels that are next to each
    other, as CPUs and tensor cores do: any other layout they would rearrange
    at each convolution.

    Of a task model that is its backbone. Heads cut maps into pieces in ways
    that other layouts do not allow, and get them as they expect them. With
    fully connected layers in between, there is nothing to gain.

    Args:
        network (nn.Module, optional): An SR network or a task model. Its
            weights are rearranged in place.

    Returns:
        torch.memory_format: How it wants its images.
    """
    body = getattr(network, 'backbone', network)
    if body is None or any(map(_keeps_layout, body.modules())):
        return torch.contiguous_format
    for module in body.modules():
        if type(module).forward in _PLAIN:
            module.weight.data = module.weight.data.contiguous(
                memory_format=torch.channels_last
            )
    if body is not network:
        body.register_forward_hook(_contiguous)
    return torch.channels_last


def _keeps_layout(module: nn.Module) -> bool:
    """Fully connected layers, and two layers whose backward pass on a CPU
    writes beyond its memory in channels last (PyTorch 2.11): GroupNorm, if its
    input needs no gradient, and strided 1x1 convolutions of few channels."""
    if isinstance(module, nn.Conv2d):
        pointwise = module.kernel_size == (1, 1) and module.stride != (1, 1)
        return pointwise and module.in_channels < 16
    return isinstance(module, (nn.Linear, nn.GroupNorm))


def _contiguous(module: nn.Module, inputs, outputs):
    if isinstance(outputs, Tensor):
        return outputs.contiguous()
    if type(outputs) in (list, tuple):
        return type(outputs)(_contiguous(module, None, x) for x in outputs)
    return outputs
