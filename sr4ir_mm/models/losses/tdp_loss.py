from typing import Dict, Optional, Sequence, Union

import torch
from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..phase import Loss
from .pixel_loss import check_weight, get_criterion


@MODELS.register_module()
class TDPLoss(Loss):
    """Task-driven perceptual loss (SR4IR, section 3.1, eq. 2).

    Mean distance between the task model's features of the SR and of the HR
    image. The task model is in eval mode: running BatchNorm statistics, which
    stay as they are, and no dropout. It runs no further than the taps need.

    Args:
        taps (Sequence[int | str]): Where to read the features: either indices
            of the feature maps that the task model's ``extract_feat`` returns
            (those of the backbone for classifiers), or names of its modules,
            such as ``decode_head.fusion_conv``. Defaults to the last map.
        weights (Sequence[float], optional): One for each tap. Defaults to 1.
        criterion (str): ``l1`` or ``l2``, averaged over all elements.
            Defaults to ``l1``.
        balance (float, optional): Weight the loss anew in each iteration, so
            that the norm of its gradient at the SR image is this many times
            that of an L1 pixel loss: features of trained networks may
            otherwise pull thousands of times as hard (docs/en/results.md). It
            costs another backward pass of the task model.
            Defaults to None: the weights as they are, as in the paper.
        **kwargs: See :class:`Loss`. The paper lets it set in at ``begin=0.1``.
    """

    def __init__(
        self,
        taps: Sequence[Union[int, str]] = (-1,),
        weights: Optional[Sequence[float]] = None,
        criterion: str = 'l1',
        balance: Optional[float] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if (
            isinstance(taps, (int, str))
            or len({isinstance(tap, str) for tap in taps}) != 1
        ):
            raise ValueError(
                f'TDPLoss.taps={taps!r}: expected a list, of indices of '
                'feature maps or of names of modules.'
            )
        weights = [1.0] * len(taps) if weights is None else weights
        if len(weights) != len(taps):
            raise ValueError(
                f'TDPLoss: {len(weights)} weights for {len(taps)} taps.'
            )
        self.taps = taps
        self.weights = [check_weight(w, 'TDPLoss.weights') for w in weights]
        self.criterion = get_criterion(criterion)
        self.balance = balance
        self.is_mean = balance is None

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_tdp``, and, if it is balanced, ``tdp_weight``; see
        :class:`Loss`."""
        # HR first: its passing maps are gone when the graph of SR is there.
        hr = model.features(views, 'hr', self.taps)
        sr = model.features(views, 'sr', self.taps)
        loss = sum(
            weight * self.criterion(*pair)
            for weight, *pair in zip(self.weights, sr, hr)
        )
        # a dry run has no gradients
        if self.balance is None or not torch.is_grad_enabled():
            return dict(loss_tdp=loss)
        weight = self.balance * _relative_pull(loss, views['sr'])
        return dict(loss_tdp=weight * loss, tdp_weight=weight)


def _relative_pull(loss: Tensor, image: Tensor) -> Tensor:
    """Norm of an L1 loss's gradient at an image, by that of ``loss``.

    Args:
        loss (Tensor): A scalar that depends on the image.
        image (Tensor): RGB in [0, 1], (N, 3, H, W).
    """
    (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
    norm = gradient.float().norm()
    # each element of the other's gradient is 1 / n
    return image.numel() ** -0.5 / norm.clamp(min=1e-12)
