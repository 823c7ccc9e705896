from typing import Dict, Optional, Sequence

from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..phase import Loss
from .pixel_loss import get_criterion


@MODELS.register_module()
class TDPLoss(Loss):
    """Task-driven perceptual loss (SR4IR, section 3.1, eq. 2).

    Mean distance between the task model's features of the SR and of the HR
    image. The task model is in eval mode: running BatchNorm statistics, which
    stay as they are, and no dropout. Only its feature extractor runs.

    Args:
        taps (Sequence[int]): Which of the feature maps that the task model's
            ``extract_feat`` returns. Defaults to the last.
        weights (Sequence[float], optional): One for each tap. Defaults to 1.
        criterion (str): ``l1`` or ``l2``, averaged over all elements.
            Defaults to ``l1``.
        **kwargs: See :class:`Loss`. The paper lets it set in at ``begin=0.1``.
    """

    def __init__(
        self,
        taps: Sequence[int] = (-1,),
        weights: Optional[Sequence[float]] = None,
        criterion: str = 'l1',
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        weights = [1.0] * len(taps) if weights is None else weights
        if len(weights) != len(taps):
            raise ValueError(
                f'TDPLoss: {len(weights)} weights for {len(taps)} taps.'
            )
        self.taps = dict(zip(taps, weights))
        self.criterion = get_criterion(criterion)

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_tdp``; see :class:`Loss`."""
        sr = model.extract_feat(views, 'sr')
        hr = model.extract_feat(views, 'hr')
        for tap in self.taps:
            if not -len(hr) <= tap < len(hr):
                raise ValueError(
                    f'TDPLoss.taps: no feature map {tap}; the task model has '
                    f'{len(hr)}: {[tuple(f.shape) for f in hr]}.'
                )
        return dict(
            loss_tdp=sum(
                weight * self.criterion(sr[tap], hr[tap])
                for tap, weight in self.taps.items()
            )
        )
