from typing import Dict, Optional, Sequence, Union

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
        **kwargs: See :class:`Loss`. The paper lets it set in at ``begin=0.1``.
    """

    def __init__(
        self,
        taps: Sequence[Union[int, str]] = (-1,),
        weights: Optional[Sequence[float]] = None,
        criterion: str = 'l1',
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

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_tdp``; see :class:`Loss`."""
        # HR first: its passing maps are gone when the graph of SR is there.
        hr = model.features(views, 'hr', self.taps)
        sr = model.features(views, 'sr', self.taps)
        return dict(
            loss_tdp=sum(
                weight * self.criterion(*pair)
                for weight, *pair in zip(self.weights, sr, hr)
            )
        )
