from typing import Dict

import torch.nn.functional as F
from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..phase import Loss

CRITERIA = dict(l1=F.l1_loss, l2=F.mse_loss)


def get_criterion(name: str):
    """Mean distance of two tensors, by its name in a config."""
    if name not in CRITERIA:
        raise ValueError(
            f'criterion={name!r}: expected one of {", ".join(CRITERIA)}.'
        )
    return CRITERIA[name]


def check_weight(weight: float, key: str) -> float:
    """The weight of a loss, or ValueError naming its config key."""
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise ValueError(f'{key}={weight!r}: expected a number.')
    if not 0 <= weight < float('inf'):  # nor NaN
        raise ValueError(
            f'{key}={weight!r}: expected a finite number, 0 or more; a '
            'negative weight would maximise the loss.'
        )
    return weight


@MODELS.register_module()
class PixelLoss(Loss):
    """Mean distance between the SR and the HR image (SR4IR, eq. 3).

    Args:
        weight (float): Defaults to 1.
        criterion (str): ``l1`` or ``l2``, averaged over all elements.
            Defaults to ``l1``.
        **kwargs: See :class:`Loss`.
    """

    is_mean = True

    def __init__(
        self, weight: float = 1.0, criterion: str = 'l1', **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.weight = check_weight(weight, 'PixelLoss.weight')
        self.criterion = get_criterion(criterion)

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_pixel``; see :class:`Loss`."""
        loss = self.criterion(views['sr'], views['hr'])
        return dict(loss_pixel=self.weight * loss)
