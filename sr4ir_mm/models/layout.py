from typing import Optional

import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format


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
    if body is None or any(isinstance(m, nn.Linear) for m in body.modules()):
        return torch.contiguous_format
    convert_conv2d_weight_memory_format(body, torch.channels_last)
    if body is not network:
        body.register_forward_hook(_contiguous)
    return torch.channels_last


def _contiguous(module: nn.Module, inputs, outputs):
    if isinstance(outputs, Tensor):
        return outputs.contiguous()
    if type(outputs) in (list, tuple):
        return type(outputs)(_contiguous(module, None, x) for x in outputs)
    return outputs
