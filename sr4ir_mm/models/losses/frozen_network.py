import torch.nn as nn
from mmengine.runner import CheckpointLoader

from ..pretrained import load_fitting


def load_frozen(
    network: nn.Module, filename: str, key: str, whole: bool = False
) -> nn.Module:
    """Load the weights of a network through which a loss only looks, and
    freeze it in eval mode.

    Args:
        network (nn.Module): The network.
        filename (str): Path or address, or ``torchvision://...``.
        key (str): Config key of ``filename``, for error messages.
        whole (bool): See :func:`load_fitting`. Defaults to False.

    Raises:
        RuntimeError: If the file cannot be read or fetched.
        ValueError: If it holds the weights of another network, or such as are
            not finite.
    """
    try:
        file = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    except OSError as error:
        raise RuntimeError(
            f'{key}: cannot load the weights {filename} ({error}). Set it to '
            'a local file that holds them.'
        ) from error
    load_fitting(network, file, f'{key}={filename}', whole=whole)
    return network.eval().requires_grad_(False)
