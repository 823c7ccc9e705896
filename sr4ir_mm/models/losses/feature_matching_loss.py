from typing import Dict, Optional, Sequence, Union

from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..taps import recorded
from .pixel_loss import get_criterion
from .task_loss import TaskLoss
from .tdp_loss import check_taps, distance


@MODELS.register_module()
class FeatureMatchingLoss(TaskLoss):
    """The task model's own losses, and the distance of its features to those
    that the teacher has of HR (FM in EDTR, ICCV 2025): of one forward pass.

    The task model is in train mode, as for its own losses; the teacher,
    ``model.teacher``, is frozen, in eval mode, and looks at HR alone, whatever
    the view.

    Args:
        views (dict[str, float]): Weight of the task model's losses on each
            view, see :class:`TaskLoss`.
        taps (Sequence[int | str]): See :class:`TDPLoss`. Defaults to the last
            map.
        weights (Sequence[float], optional): One for each tap. Defaults to .5
            each.
        criterion (str): ``l1`` or ``l2``, averaged over all elements.
            Defaults to ``l1``.
        **kwargs: See :class:`Loss`.
    """

    def __init__(
        self,
        views: Dict[str, float],
        taps: Sequence[Union[int, str]] = (-1,),
        weights: Optional[Sequence[float]] = None,
        criterion: str = 'l1',
        **kwargs,
    ) -> None:
        super().__init__(views, **kwargs)
        weights = [0.5] * len(taps) if weights is None else weights
        self.taps, self.weights = check_taps(
            taps, weights, type(self).__name__
        )
        self.criterion = get_criterion(criterion)

    @property
    def teacher_taps(self):
        """Where it reads the teacher's features."""
        return self.taps

    def forward(self, model, views) -> Dict[str, Tensor]:
        """What :class:`TaskLoss` gives, and ``{view}.loss_fm``."""
        losses = {}
        for view in self.split():
            (name,) = view.views
            targets = model.teacher_features(views, 'hr', self.taps)
            with recorded(model, self.taps) as features:
                losses.update(
                    super(FeatureMatchingLoss, view).forward(model, views)
                )
            number = name.count('+') + 1
            losses[f'{name}.loss_fm'] = distance(
                features,
                [target.repeat(number, 1, 1, 1) for target in targets],
                self.weights,
                self.criterion,
            )
        return losses
