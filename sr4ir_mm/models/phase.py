from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from sr4ir_mm.registry import MODELS

if TYPE_CHECKING:
    from .sr_task_model import SRTaskModel
    from .views import Views


class Span:
    """``[begin, end)``, in fractions of the whole training.

    Args:
        begin (float): Defaults to 0.
        end (float): Defaults to 1.
    """

    def __init__(self, begin: float = 0.0, end: float = 1.0) -> None:
        if not 0 <= begin < end <= 1:
            raise ValueError(
                f'begin={begin}, end={end}: expected 0 <= begin '
                '< end <= 1, in fractions of the training.'
            )
        self.begin = begin
        self.end = end

    def __contains__(self, progress: float) -> bool:
        return self.begin <= progress < self.end

    def first_gap(self, spans: Sequence['Span']) -> Optional[float]:
        """Where this span is first covered by none of ``spans``, if it is."""
        at = self.begin
        for span in sorted(spans, key=lambda span: span.begin):
            if span.begin > at:
                break
            at = max(at, span.end)
        return at if at < self.end else None


class Loss(nn.Module):
    """What a phase minimises: turns views, and labels, into scalars.

    Args:
        begin (float): Fraction of the training at which it sets in.
            Defaults to 0.
        end (float): Fraction of the training at which it ends. Defaults to 1.
    """

    # Whether it is a mean over the images, and that of a batch the mean of its
    # micro-batches'.
    is_mean = False

    def __init__(self, begin: float = 0.0, end: float = 1.0) -> None:
        super().__init__()
        self.span = Span(begin, end)

    def forward(
        self, model: 'SRTaskModel', views: 'Views'
    ) -> Dict[str, Tensor]:
        """
        Args:
            model (SRTaskModel): The networks.
            views (Views): The batch.

        Returns:
            dict[str, Tensor]: Already weighted. What has ``loss`` in its name
            is summed up and minimised; the rest is logged.
        """
        raise NotImplementedError

    def split(self) -> List['Loss']:
        """Losses that add up to this one, each of which may have a backward
        pass of its own. All use the same parameters."""
        return [self]


class Phase(nn.Module):
    """Trains networks on a sum of losses, in a part of the training.

    Args:
        name (str): Prefix of its log entries.
        trains (str | Sequence[str]): The networks that it trains
            (``sr_net``, ``task_model``); all others are frozen meanwhile.
            Several are trained by one backward pass and a step each.
        losses (Sequence[dict]): Configs of :class:`Loss`.
        begin (float): Fraction of the training at which it sets in.
            Defaults to 0.
        end (float): Fraction of the training at which it ends. Defaults to 1.
        keep_views (bool): Whether to take the views that networks made in the
            phase before, one update ago. In SR4IR's second phase that saves a
            pass of the SR network. Defaults to False: made anew.
        micro_batch_size (int, optional): Images in each forward and backward
            pass. Gradients add up to those of the batch, for one update; the
            memory is that of so many images. For losses that are means over
            the images, and networks without BatchNorm. Defaults to None: all
            at once on a GPU, and, where it is possible, some 512x512 pixels
            on a CPU, which gains little time from larger batches.
    """

    def __init__(
        self,
        name: str,
        trains: Union[str, Sequence[str]],
        losses: Sequence[dict],
        begin: float = 0.0,
        end: float = 1.0,
        keep_views: bool = False,
        micro_batch_size: Optional[int] = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.keep_views = keep_views
        self.micro_batch_size = micro_batch_size
        # whether it can, with the networks that there are
        self.splits_batch = False
        self.trains: Tuple[str, ...] = (
            (trains,) if isinstance(trains, str) else tuple(trains)
        )
        if len(set(self.trains)) < len(self.trains):
            raise ValueError(f'Phase {name!r} trains {trains}: one is twice.')
        if isinstance(losses, dict):
            raise ValueError(
                f'Phase {name!r}: losses is one config: expected a list.'
            )
        self.losses = nn.ModuleList(MODELS.build(loss) for loss in losses)
        for loss in self.losses:
            if not isinstance(loss, Loss):
                raise ValueError(
                    f'Phase {name!r}: {type(loss).__name__} does not look at '
                    'views. Losses of phases are sr4ir_mm.PixelLoss, TDPLoss, '
                    'TaskLoss and the like; TaskLoss has those of the task '
                    'model.'
                )
        if micro_batch_size is not None and (
            not isinstance(micro_batch_size, int) or micro_batch_size < 1
        ):
            raise ValueError(
                f'Phase {name!r}: micro_batch_size={micro_batch_size!r}: '
                'expected a whole number of images, 1 or more, or None.'
            )
        self.span = Span(begin, end)
        gap = self.span.first_gap([loss.span for loss in self.losses])
        if gap is not None:
            raise ValueError(
                f'Phase {name!r} has no loss from {gap:g} of the training on. '
                'Let a loss begin or end elsewhere, or the phase.'
            )

    def parts(self, views: 'Views', progress: float) -> List['Part']:
        """What to compute at ``progress``: the gradients of the parts add up
        to those of the sum of all active losses.

        Only one graph is alive at a time, so that three views cost the memory
        of one. A phase that trains the SR network splits into micro-batches at
        most, because all its losses look at the same SR image.
        """
        active = [loss for loss in self.losses if progress in loss.span]
        number, size = len(views.inputs), self._images_at_once(views)
        if size < number:
            return [
                Part(self, active, piece, len(piece.inputs) / number)
                for piece in views.split(size)
            ]
        if 'sr_net' in self.trains:
            return [Part(self, active, views)]
        split = [loss.split() for loss in active]
        # Every loss has its end in the last part: DDP reduces the gradients
        # of the parameters that this one reaches.
        groups = [[loss] for losses in split for loss in losses[:-1]]
        groups.append([losses[-1] for losses in split])
        return [Part(self, group, views) for group in groups]

    def forward(
        self, model: 'SRTaskModel', views: 'Views', losses: Sequence[Loss]
    ) -> Dict[str, Tensor]:
        """Some of the phase's losses, see :class:`Loss`.

        Raises:
            ValueError: If two have one name, or none depends on what is
                trained.
        """
        merged = {}
        for loss in losses:
            for key, value in loss(model, views).items():
                if key in merged:
                    raise ValueError(
                        f'Two losses of phase {self.name!r} report {key!r}.'
                    )
                merged[key] = value
        values = [value for key, value in merged.items() if 'loss' in key]
        if torch.is_grad_enabled() and not any(map(_has_gradient, values)):
            raise ValueError(
                f'Phase {self.name!r} trains {" and ".join(self.trains)}, on '
                f'which none of its losses depends: {", ".join(merged)}. Add '
                'one that looks at it, or train another network.'
            )
        return merged

    def needs_batch(self, networks: Sequence[nn.Module]) -> Optional[str]:
        """What looks at the batch as a whole, if anything does: the type of
        a loss, or of a layer of the networks that it trains."""
        modules = [m for network in networks for m in network.modules()]
        whole = [loss for loss in self.losses if not loss.is_mean]
        whole += [m for m in modules if isinstance(m, _BatchNorm)]
        return type(whole[0]).__name__ if whole else None

    def _images_at_once(self, views: 'Views') -> int:
        """The size of a micro-batch."""
        if self.micro_batch_size is not None:
            return self.micro_batch_size
        number, _, height, width = views.inputs.shape
        if views.inputs.is_cuda or not self.splits_batch:
            return number
        return max(1, 512**2 // (height * width))


@dataclass(frozen=True)
class Part:
    """Losses of a phase that share one forward and one backward pass.

    Args:
        phase (Phase): The phase.
        losses (Sequence[Loss]): Some of its losses.
        views (Views): The batch, or some images of it.
        weight (float): Share of the images. Defaults to 1.
    """

    phase: Phase
    losses: Sequence[Loss]
    views: 'Views'
    weight: float = 1.0

    def __call__(self, model: 'SRTaskModel') -> Dict[str, Tensor]:
        """See :meth:`Phase.forward`."""
        losses = self.phase(model, self.views, self.losses)
        if self.weight == 1:
            return losses
        return {name: self.weight * loss for name, loss in losses.items()}


def _has_gradient(loss: Union[Tensor, List[Tensor]]) -> bool:
    if isinstance(loss, Tensor):
        return loss.requires_grad
    return any(map(_has_gradient, loss))


_PHASE_KEYS = (
    'name',
    'trains',
    'losses',
    'begin',
    'end',
    'keep_views',
    'micro_batch_size',
)


def build_phases(cfgs: Sequence[dict]) -> List[Phase]:
    """Build ``model.phases``; raise ValueError naming an unknown or
    missing key, or two phases of one name."""
    if isinstance(cfgs, dict):
        raise ValueError('model.phases is a dict: expected a list of phases.')
    for i, cfg in enumerate(cfgs):
        wrong = sorted(set(cfg) - set(_PHASE_KEYS))
        missing = sorted(set(_PHASE_KEYS[:3]) - set(cfg))
        if wrong or missing:
            problem = (
                f'unknown key {wrong[0]!r}'
                if wrong
                else f'missing key {missing[0]!r}'
            )
            raise ValueError(
                f'model.phases[{i}]: {problem}. A phase has '
                f'{", ".join(_PHASE_KEYS)}.'
            )
    phases = [Phase(**cfg) for cfg in cfgs]
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ValueError(f'model.phases: names must differ, got {names}.')
    return phases
