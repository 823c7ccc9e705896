"""How hard each loss of the SR network pulls at the SR image."""

from statistics import mean
from typing import Dict, Iterable, NamedTuple

import torch
from torch import Tensor

from sr4ir_mm.models.losses import PixelLoss
from sr4ir_mm.models.phase import Phase
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views


class Pull(NamedTuple):
    """Of a loss, at the SR image.

    Args:
        norm (float): Of its gradient.
        ratio (float): That, beside the pixel loss's.
        cosine (float): Between both gradients.
    """

    norm: float
    ratio: float
    cosine: float

    @property
    def verdict(self) -> str:
        """What docs/en/results.md found to become of the image."""
        if self.ratio < 0.1:
            return 'changes next to nothing: raise its weight'
        if self.ratio < 10:
            return 'is in balance with the pixel loss'
        if self.ratio < 1000:
            return 'costs about half a dB of PSNR'
        return (
            'costs decibels of PSNR, or the image: set balance=1.0, or leave '
            'it out'
        )


def measure_pull(
    model: SRTaskModel, loader: Iterable[dict], batches: int
) -> Dict[str, Pull]:
    """The pull of each loss of the last phase that has a pixel loss: means
    over batches, by the name of the loss.

    Args:
        model (SRTaskModel): With its phases.
        loader (Iterable[dict]): Batches of training data.
        batches (int): How many.

    Raises:
        ValueError: If no phase compares SR images with HR images.
    """
    phases = [
        phase
        for phase in model.phases
        if any(isinstance(loss, PixelLoss) for loss in phase.losses)
    ]
    if not phases:
        raise ValueError('model.phases: no phase has a PixelLoss.')
    rows = {}
    for _, batch in zip(range(batches), loader):
        found = _gradients(model, phases[-1], model.make_views(batch))
        for name, gradient in found.items():
            pull = _compare(gradient, found['PixelLoss'])
            rows.setdefault(name, []).append(pull)
    return {name: Pull(*map(mean, zip(*row))) for name, row in rows.items()}


def _gradients(
    model: SRTaskModel, phase: Phase, views: Views
) -> Dict[str, Tensor]:
    """Gradient of each loss of a phase at the SR image, by its name."""
    found = {}
    with model.in_phase(phase, views):
        sr = views['sr']
        for loss in phase.losses:
            values = loss(model, views)
            total = sum(v for k, v in values.items() if 'loss' in k)
            (gradient,) = torch.autograd.grad(total, sr, retain_graph=True)
            found[type(loss).__name__] = gradient
    return found


def _compare(gradient: Tensor, pixel: Tensor) -> Pull:
    norm, reference = gradient.norm(), pixel.norm()
    cosine = (gradient * pixel).sum() / (norm * reference)
    return Pull(norm.item(), (norm / reference).item(), cosine.item())
