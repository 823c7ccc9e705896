from contextlib import contextmanager
from typing import Dict, Iterator, Optional, Tuple

from torch import Tensor, nn


class Lender:
    """Lends images to networks, which may do anything to them.

    Others look at the same images later. So a network that changes its input
    in place, as spandrel's RCAN does, gets a copy; it is not known to before
    its first pass in each mode, for which it gets one, too. No other network
    does.
    """

    def __init__(self) -> None:
        self._changes: Dict[Tuple[int, bool], bool] = {}

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
        mode = id(network), network.training
        lent = image if self._changes.get(mode) is False else image.clone()
        before = _version(lent)
        yield lent
        if before is None:  # in inference mode, in which nobody can tell
            return
        changes = _version(lent) != before
        if changes and lent is image:
            raise RuntimeError(
                f'{type(network).__name__} has changed its input in place, '
                'which it had left alone before: others look at it. Let it '
                'work on a copy.'
            )
        self._changes[mode] = changes or self._changes.get(mode, False)


def _version(image: Tensor) -> Optional[int]:
    """How often it has been changed in place."""
    return None if image.is_inference() else image._version
