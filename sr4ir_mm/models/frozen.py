import copy
from typing import Optional

from torch import nn

from .losses.frozen_network import load_frozen


class FrozenCopy:
    """A copy of a network, with weights of its own, through which losses and
    metrics only look.

    It is made when it is first asked for, once for all of them. It is no
    submodule, so that it is neither trained, nor synchronised, nor saved.

    Args:
        name (str): The network: ``task_model`` or ``sr_net``.
        checkpoint (str, optional): Its weights: of a training of this package,
            or of the network alone.
        key (str): Config key of ``checkpoint``, for error messages.
    """

    def __init__(self, name: str, checkpoint: Optional[str], key: str) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self.key = key
        self._network: Optional[nn.Module] = None

    def of(self, network: nn.Module) -> nn.Module:
        """The copy, on the network's device.

        Raises:
            RuntimeError: If the weights cannot be read or fetched.
            ValueError: If there are none, or those of another network.
        """
        if self._network is None:
            if self.checkpoint is None:
                raise ValueError(
                    f'{self.key} is not set, through which a loss or a metric '
                    f'looks: give it the weights of a trained {self.name}.'
                )
            twin = copy.deepcopy(network)
            # a discriminator's part, which no other training has
            twin._modules.pop('real_fake_branch', None)
            self._network = load_frozen(twin, self.checkpoint, self.key)
        return self._network

    def __deepcopy__(self, memo) -> 'FrozenCopy':
        return self  # also of a moving average of the model
