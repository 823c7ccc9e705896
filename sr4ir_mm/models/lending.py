from contextlib import contextmanager
from typing import Dict, Iterator, Optional, Tuple

import torch
from torch import Tensor, nn


class Lender:
    """Lends images to networks, which may do anything to them.

    Others look at the same images later. So a network that changes its input
    in place, as spandrel's RCAN does, gets a copy. Whether it does may depend
    on its mode, on gradients and on the image's shape (some pad what is no
    multiple of their window, and so make a copy themselves), and is not known
    before the first such pass, which gets one, too. No other does.
    """

    def __init__(self) -> None:
        self._changes: Dict[Tuple[int, ...], bool] = {}

    @contextmanager
    def lend(self, network: nn.Module, image: Tensor) -> Iterator[Tensor]:
        """Inside, what the network may look at.

        Args:
            network (nn.Module): The network.
            image (Tensor): Of any shape and value space.

        Raises:
            RuntimeError: If it changes an image for the first time after it
                had left others alone.
        """
        # whole numbers also while PyTorch traces it
        shape = map(int, image.shape)
        kind = id(network), network.training, torch.is_grad_enabled(), *shape
        lent = image if self._changes.get(kind) is False else _copy(image)
        before = _version(lent)
        yield lent
        changes = _version(lent) != before
        if changes and lent is image:
            raise RuntimeError(
                f'{type(network).__name__} has changed its input in place, '
                'which it had left alone before: others look at it. Let it '
                'work on a copy.'
            )
        self._changes[kind] = changes or self._changes.get(kind, False)


def _copy(image: Tensor) -> Tensor:
    """One that knows how often it is changed, which those of inference mode do
    not."""
    if not image.is_inference():
        return image.clone()
    with torch.inference_mode(False):
        return image.clone()


def _version(image: Tensor) -> Optional[int]:
    """How often it has been changed in place; None if it does not know."""
    return None if image.is_inference() else image._version
