from contextlib import ExitStack, contextmanager
from typing import Dict, Iterator, Optional, Sequence

from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn

from sr4ir_mm.models.phase import Part, Phase
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views

from .loss_guard import LossGuard


class PhaseUpdate:
    """One update of the networks that a phase trains.

    Every part of the phase is one forward and one backward pass; gradients add
    up, and after the last part each network's optimizer takes its step.

    Each optimizer wrapper keeps its own gradient clipping. Loss scaling and
    gradient accumulation are those of the first one, because there is one
    backward pass for all; they must agree on them.

    Args:
        phase (Phase): The phase.
        wrappers (Sequence[OptimWrapper]): One for each network it trains.
        guard (LossGuard, optional): Looks out for losses that are not finite.
            Defaults to one that stops the training.

    Raises:
        ValueError: If the wrappers differ in type or accumulation.
    """

    def __init__(
        self,
        phase: Phase,
        wrappers: Sequence[OptimWrapper],
        guard: Optional[LossGuard] = None,
    ) -> None:
        self.phase = phase
        self.wrappers = wrappers
        self.guard = guard or LossGuard()
        self.lead = wrappers[0]
        self._seen_without_gradient = set()
        kinds = {(type(w).__name__, w._accumulative_counts) for w in wrappers}
        if len(kinds) > 1:
            raise ValueError(
                'Networks that one phase trains jointly need the same '
                '`type` and `accumulative_counts` in `optim_wrapper`, got '
                f'{sorted(kinds)}.'
            )

    def __call__(
        self, model: nn.Module, views: Views, progress: float
    ) -> Dict[str, Tensor]:
        """Run the phase on a batch.

        Args:
            model (nn.Module): An :class:`SRTaskModel`, or its DDP wrapper.
            views (Views): The batch.
            progress (float): Fraction of the training that is over.

        Returns:
            dict[str, Tensor]: Its losses, and their sum ``loss``, detached.
        """
        merged, total = {}, 0
        module = self._unwrap(model)
        self.guard.remember(module)
        with module.in_phase(self.phase, views):
            *parts, last = self.phase.parts(views, progress)
            for part in (*parts, last):
                log_vars = self.run_part(model, part, part is last)
                total = total + log_vars.pop('loss')
                for name, value in log_vars.items():
                    merged[name] = merged.get(name, 0) + value
            merged = dict(loss=total, **merged)
            if self.guard.leaves_out(module, self.phase, merged, views):
                for wrapper in self.wrappers:
                    wrapper.zero_grad()
            else:
                self._step()
        return merged

    def run_part(
        self, model: nn.Module, part: Part, is_last: bool
    ) -> Dict[str, Tensor]:
        """One forward and one backward pass; returns the part's log."""
        with self._context(model, reduce=is_last):
            losses = model(part, mode='loss')
            loss, log_vars = self._unwrap(model).parse_losses(losses)
        self.lead.backward(self.lead.scale_loss(loss))
        if not is_last:  # mmengine takes each backward pass for an iteration
            self.lead._inner_count -= 1
        return {key: value.detach() for key, value in log_vars.items()}

    @staticmethod
    def _unwrap(model: nn.Module) -> SRTaskModel:
        return model.module if is_model_wrapper(model) else model

    @contextmanager
    def _context(self, model: nn.Module, reduce: bool) -> Iterator[None]:
        """mmengine's own, and DDP reduces gradients in the last part only."""
        with ExitStack() as stack:
            if not reduce and is_model_wrapper(model):
                stack.enter_context(model.no_sync())
            stack.enter_context(self.lead.optim_context(model))
            yield

    def _step(self) -> None:
        if not self.lead.should_update():
            return
        self._tell_without_gradient()
        if isinstance(self.lead, AmpOptimWrapper):
            self._step_amp()
        else:
            for wrapper in self.wrappers:
                wrapper.step()
        for wrapper in self.wrappers:
            wrapper.zero_grad()

    def _step_amp(self) -> None:
        """Several optimizers, one scaler, one update of its scale: "Multiple
        Models, Losses, and Optimizers" in PyTorch's AMP examples."""
        scaler = self.lead.loss_scaler
        for wrapper in self.wrappers:
            if not _has_gradient(wrapper):
                continue  # no loss reaches it yet, which the scaler refuses
            if wrapper.clip_grad_kwargs:
                scaler.unscale_(wrapper.optimizer)
                wrapper._clip_grad()
            scaler.step(wrapper.optimizer)
        scaler.update(self.lead._scale_update_param)

    def _tell_without_gradient(self) -> None:
        """Warn of a network that no loss reaches, once."""
        for name, wrapper in zip(self.phase.trains, self.wrappers):
            known = name in self._seen_without_gradient
            if not known and not _has_gradient(wrapper):
                self._seen_without_gradient.add(name)
                MMLogger.get_current_instance().warning(
                    f'Phase {self.phase.name!r} trains {name}, which gets no '
                    'gradient: none of the losses that are active now depends '
                    'on it. It stays as it is until one does.'
                )


def in_iterations(schedule: dict, epoch_length: int) -> dict:
    """A schedule of rates as mmengine knows it.

    Args:
        schedule (dict): Its config. With ``after_epochs``, it counts
            iterations from the end of so many epochs on. In epochs that are
            converted, milestones and steps may lie between two epochs.
        epoch_length (int): Iterations of an epoch.
    """
    if not isinstance(schedule, dict):
        return schedule
    schedule = dict(schedule)
    later = schedule.pop('after_epochs', 0) * epoch_length
    if later:
        schedule['begin'] = schedule.get('begin', 0) + later
        if 'end' in schedule:
            schedule['end'] += later
    steps = {'milestones', 'step_size'} & set(schedule)
    if steps and schedule.get('convert_to_iter_based'):
        # mmengine's are not whole, and are never met
        del schedule['convert_to_iter_based']
        schedule['by_epoch'] = False
        for key in {'begin', 'end', *steps} & set(schedule):
            value = schedule[key]
            schedule[key] = (
                [round(item * epoch_length) for item in value]
                if isinstance(value, (list, tuple))
                else round(value * epoch_length)
            )
    return schedule


def _has_gradient(wrapper: OptimWrapper) -> bool:
    groups = wrapper.optimizer.param_groups
    return any(p.grad is not None for g in groups for p in g['params'])
