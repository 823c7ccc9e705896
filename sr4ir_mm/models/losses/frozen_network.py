import torch.nn as nn
from mmengine.runner import CheckpointLoader

from ..pretrained import unwrap


def load_frozen(
    network: nn.Module, filename: str, prefix: str, key: str
) -> nn.Module:
    """Load the weights of a network through which a loss only looks, and
    freeze it in eval mode.

    Args:
        network (nn.Module): The network.
        filename (str): Path or address, or ``torchvision://...``.
        prefix (str): Of the network's weights in the file. If none begins
            with it, all are the network's.
        key (str): Config key of ``filename``, for error messages.

    Raises:
        RuntimeError: If the file cannot be read or fetched.
        ValueError: If it holds the weights of another network.
    """
    try:
        file = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    except OSError as error:
        raise RuntimeError(
            f'{key}: cannot load the weights {filename} ({error}). Set it to '
            'a local file that holds them.'
        ) from error
    weights = unwrap(file)
    own = {
        name[len(prefix) :]: weight
        for name, weight in weights.items()
        if name.startswith(prefix)
    }
    try:
        network.load_state_dict(own or weights)
    except RuntimeError as error:
        raise ValueError(
            f'{key}: {filename} holds the weights of another network. {error}'
        ) from error
    return network.eval().requires_grad_(False)
