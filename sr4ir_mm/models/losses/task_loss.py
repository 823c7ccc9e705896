import copy
from typing import Dict, List

from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..phase import Loss
from ..views import VIEWS
from .pixel_loss import check_weight


@MODELS.register_module()
class TaskLoss(Loss):
    """The task model's own losses, on one or several views of the batch.

    The views go through the network one after the other, as in the authors'
    code, so that BatchNorm normalises each kind of image by itself. In SR4IR
    they are ``dict(sr=.34, hr=.34, cqmix=.34)`` (section 3.3). Views that are
    joined by ``+`` go through together, as one batch: the paper's text says
    ``{'sr+hr+cqmix': 1.02}``.

    Args:
        views (dict[str, float]): Weight of each view.
        **kwargs: See :class:`Loss`.
    """

    def __init__(self, views: Dict[str, float], **kwargs) -> None:
        super().__init__(**kwargs)
        if not isinstance(views, dict) or not views:
            raise ValueError(
                f'TaskLoss.views={views!r}: expected the weight of each, as '
                'in dict(sr=1.0).'
            )
        for name in '+'.join(views).split('+'):
            if name not in VIEWS:
                raise ValueError(
                    f'TaskLoss.views: unknown view {name!r}. A view is one of '
                    f'{", ".join(VIEWS)}.'
                )
        self.views = {
            name: check_weight(weight, f'TaskLoss.views[{name!r}]')
            for name, weight in views.items()
        }

    def forward(self, model, views) -> Dict[str, Tensor]:
        """The toolbox's losses as ``{view}.{name}``; see :class:`Loss`.

        Raises:
            RuntimeError: If the task model has none in eval mode, where a
                phase keeps what it does not train.
        """
        losses = {}
        for name, weight in self.views.items():
            for key, value in _task_loss(model, views, name).items():
                if 'loss' in key:
                    value = (
                        [weight * v for v in value]
                        if isinstance(value, list)
                        else weight * value
                    )
                losses[f'{name}.{key}'] = value
        return losses

    def split(self) -> List[Loss]:
        """One for each view; see :class:`Loss`."""
        parts = []
        for name, weight in self.views.items():
            part = copy.copy(self)
            part.views = {name: weight}
            parts.append(part)
        return parts


def _task_loss(model, views, view: str) -> Dict[str, Tensor]:
    try:
        return model.task_loss(views, view)
    except Exception as error:
        if model.task_model.training:
            raise
        raise RuntimeError(
            f'TaskLoss: {type(model.task_model).__name__} fails in eval mode, '
            'in which phases keep a task model that they do not train '
            f'({error}). Some models of the toolboxes compute losses in train '
            'mode only: take a recipe that trains the task model wherever it '
            'has a TaskLoss.'
        ) from error
