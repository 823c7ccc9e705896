import math
from collections import Counter
from typing import Dict, List, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from sr4ir_mm.models.phase import Phase
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.mistakes import few


class LossGuard:
    """Keeps a loss that is NaN or infinite from the weights.

    It stops the training, or leaves the update out. On the GPU, where looking
    at a loss would wait for it, training stops one update later: until then
    the verdict travels to the host by itself. No checkpoint is written in
    between.

    Args:
        skip (int): So many such updates of a phase in a row are left out and
            counted, before the training stops. The host then waits for
            each loss. Defaults to 0.
    """

    def __init__(self, skip: int = 0) -> None:
        self.skip = skip
        self.iteration = 0
        self.num_skipped = 0
        self._in_a_row = Counter()  # by phase
        self._buffers: List[Tensor] = []
        self._pending: Optional[tuple] = None

    def check_rates(self, optim_wrapper: OptimWrapperDict) -> None:
        """Raise FloatingPointError for a learning rate that is not finite."""
        for name, wrapper in optim_wrapper.items():
            for group in wrapper.param_groups:
                rate = group['lr']
                if isinstance(rate, float) and not math.isfinite(rate):
                    raise FloatingPointError(
                        f'Iteration {self.iteration}: the learning rate of '
                        f'{name} is {rate}. See optim_wrapper.{name} and '
                        'param_scheduler.'
                    )

    def remember(self, model: nn.Module) -> None:
        """Before an update: what its forward passes change in the model, for
        the case that it is left out."""
        if self.skip:
            self._buffers = [buffer.clone() for buffer in model.buffers()]

    def leaves_out(
        self,
        model: nn.Module,
        phase: Phase,
        losses: Dict[str, Tensor],
        views: Views,
    ) -> bool:
        """Whether to leave out an update, after its backward passes.

        Args:
            model (nn.Module): The model.
            phase (Phase): What is computed.
            losses (dict[str, Tensor]): Its losses, and their sum ``loss``,
                detached scalars.
            views (Views): The batch.

        Raises:
            FloatingPointError: To stop the training.
        """
        files = [
            sample.metainfo.get('img_path')
            for sample in views.data_samples or []
        ]
        where = (self.iteration, phase.name, losses, files)
        finite = losses['loss'].isfinite()
        if finite.is_cuda and not self.skip:
            self.settle()
            verdict = torch.empty((), dtype=torch.bool, pin_memory=True)
            verdict.copy_(finite, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._pending = event, verdict, where
            return False
        if self.skip:  # all processes or none
            finite = finite.float()
            all_reduce(finite, 'min')
        if finite:
            self._in_a_row[phase.name] = 0
            return False
        self._in_a_row[phase.name] += 1
        self.num_skipped += 1
        if self._in_a_row[phase.name] > self.skip:
            self._stop(*where)
        for buffer, before in zip(model.buffers(), self._buffers):
            buffer.copy_(before)
        MMLogger.get_current_instance().warning(
            f'{_describe(*where)} The update is left out; '
            f'{self.num_skipped} so far.'
        )
        return True

    def settle(self) -> None:
        """Wait for the verdict on the last loss, if one is on its way."""
        if self._pending is None:
            return
        (event, verdict, where), self._pending = self._pending, None
        event.synchronize()
        if not verdict:
            self._stop(*where)

    def _stop(self, iteration: int, phase: str, *where) -> None:
        times = self._in_a_row[phase]
        in_a_row = f' ({times} in a row)' if self.skip else ''
        raise FloatingPointError(
            f'{_describe(iteration, phase, *where)} Training '
            f'stops{in_a_row}; no checkpoint has '
            'been spoilt. Lower the learning rate, set clip_grad, or look at '
            'the images; train_cfg.skip_not_finite=N leaves out up to N such '
            'updates in a row.'
        )


def _describe(
    iteration: int, phase: str, losses: Dict[str, Tensor], files: List[str]
) -> str:
    found = [
        f'{name} is {value.item()}'
        for name, value in losses.items()
        if 'loss' in name and name != 'loss' and not value.isfinite()
    ] or [f'loss is {losses["loss"].item()}']
    return (
        f'Iteration {iteration}, phase {phase!r}: {few(found, 3)}, for the '
        f'images {few(files, 4)}.'
    )
