from typing import ContextManager, Sequence

from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn


class JointOptimWrapper:
    """One backward pass, then one step of several optimizers.

    What ``train_step`` needs of an
    :class:`~mmengine.optim.OptimWrapper`, for phases that train several
    networks. Each wrapper keeps its own gradient clipping. Loss scaling and
    gradient accumulation are those of the first one, because there is one
    backward pass only; all must agree on them.

    Args:
        wrappers (Sequence[OptimWrapper]): One for each network.

    Raises:
        ValueError: If the wrappers differ in type or accumulation.
    """

    def __init__(self, wrappers: Sequence[OptimWrapper]) -> None:
        self.wrappers = wrappers
        self.lead = wrappers[0]
        kinds = {(type(w).__name__, w._accumulative_counts) for w in wrappers}
        if len(kinds) > 1:
            raise ValueError(
                'Networks that one phase trains jointly need the same '
                '`type` and `accumulative_counts` in `optim_wrapper`, got '
                f'{sorted(kinds)}.'
            )

    def optim_context(self, model: nn.Module) -> ContextManager[None]:
        """See :meth:`mmengine.optim.OptimWrapper.optim_context`."""
        return self.lead.optim_context(model)

    def update_params(self, loss: Tensor) -> None:
        """See :meth:`mmengine.optim.OptimWrapper.update_params`."""
        self.lead.backward(self.lead.scale_loss(loss))
        if not self.lead.should_update():
            return
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
            groups = wrapper.optimizer.param_groups
            if all(p.grad is None for g in groups for p in g['params']):
                continue  # no loss reaches it yet, which the scaler refuses
            if wrapper.clip_grad_kwargs:
                scaler.unscale_(wrapper.optimizer)
                wrapper._clip_grad()
            scaler.step(wrapper.optimizer)
        scaler.update(self.lead._scale_update_param)
