from typing import Dict, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..phase import Loss
from .pixel_loss import check_weight


@MODELS.register_module()
class RealFakeBranch(nn.Module):
    """A fully connected layer that tells HR from SR by the task model's
    features, averaged over the image (SOD-MTGAN; SR4IR, section S8).

    ``model.real_fake_branch`` puts it into the task model, which is then
    the discriminator: trained, frozen and saved together.

    Args:
        in_channels (int): Channels of the feature map.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """
        Args:
            features (Tensor): (N, in_channels, H, W).

        Returns:
            Tensor: Logits of being real, (N, 1).
        """
        if features.ndim != 4 or features.shape[1] != self.fc.in_features:
            raise ValueError(
                f'model.real_fake_branch.in_channels={self.fc.in_features}, '
                f'but the feature map has {features.shape[1]}: '
                f'{tuple(features.shape)}, not (N, {self.fc.in_features}, H, W'
                '). Set it to that, or read another tap.'
            )
        return self.fc(features.mean(dim=(2, 3)))


class _RealFakeLoss(Loss):
    """What the two players have in common.

    Both look at the task model in eval mode. So they play the same game, and
    BatchNorm cannot give away that a batch is all real or all fake.
    """

    is_mean = True

    def __init__(
        self, weight: float, tap: Union[int, str] = -1, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.weight = check_weight(weight, f'{type(self).__name__}.weight')
        self.tap = tap

    def cross_entropy(self, model, views, view: str, label: float) -> Tensor:
        """Cross-entropy between the verdicts on a view and a label."""
        branch = getattr(model.task_model, 'real_fake_branch', None)
        if branch is None:
            raise ValueError(
                f'{type(self).__name__} needs model.real_fake_branch, e.g. '
                "dict(type='sr4ir_mm.RealFakeBranch', in_channels=960)."
            )
        logits = branch(model.features(views, view, [self.tap])[0])
        return self.weight * F.binary_cross_entropy_with_logits(
            logits, torch.full_like(logits, label)
        )


@MODELS.register_module()
class AdversarialLoss(_RealFakeLoss):
    """Lets the SR network pass SR off as HR (SOD-MTGAN): ``-log D(sr)``.

    For the phase that trains the SR network; :class:`DiscriminatorLoss` is
    its opponent.

    Args:
        weight (float): Defaults to 0.001, as in SR4IR, section S8.
        tap (int | str): Where the branch reads the task model's features, see
            ``TDPLoss.taps``. Defaults to the last feature map.
        **kwargs: See :class:`Loss`.
    """

    def __init__(self, weight: float = 0.001, **kwargs) -> None:
        super().__init__(weight, **kwargs)

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_adversarial``; see :class:`Loss`."""
        return dict(
            loss_adversarial=self.cross_entropy(model, views, 'sr', 1.0)
        )


@MODELS.register_module()
class DiscriminatorLoss(_RealFakeLoss):
    """Lets the task model tell SR from HR (SOD-MTGAN):
    ``-log D(hr) - log(1 - D(sr))``.

    For the phase that trains the task model, beside its :class:`TaskLoss`.

    Args:
        weight (float): Defaults to 1, as usual for discriminators; the paper
            does not give it.
        tap (int | str): As in :class:`AdversarialLoss`.
        **kwargs: See :class:`Loss`.
    """

    def __init__(self, weight: float = 1.0, **kwargs) -> None:
        super().__init__(weight, **kwargs)

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_real`` and ``loss_fake``; see :class:`Loss`."""
        return dict(
            loss_real=self.cross_entropy(model, views, 'hr', 1.0),
            loss_fake=self.cross_entropy(model, views, 'sr', 0.0),
        )
