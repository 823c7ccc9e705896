from functools import partial
from typing import Callable, Dict, Iterator, Optional, Union

import numpy as np
from mmengine.dataset import worker_init_fn
from mmengine.dist import barrier, get_rank
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapperDict
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    set_random_seed,
)
from torch.utils.data import DataLoader

from sr4ir_mm.models.phase import Span
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.registry import LOOPS

from .checkpoint_hook import save_last
from .ending import INTERRUPTED, Interrupted, Interruption
from .loss_guard import LossGuard
from .optim import PhaseUpdate


class _AlternatingLoop:
    """What an alternating loop adds to a loop of mmengine.

    For each batch it runs the active phases of the model in order. A phase is
    one update with the optimizer wrapper of the network that it trains, so
    mixed precision, gradient clipping and accumulation are mmengine's. The
    hooks see one iteration per batch.

    All randomness of a step (epoch or iteration) depends on the seed, the rank
    and the number of the step alone, so a resumed training goes on exactly as
    if it had not been interrupted.

    Args:
        skip_not_finite (int, optional): So many updates in a row whose loss
            is NaN or infinite are left out, before the training stops
            (:class:`LossGuard`). Defaults to 0, or 20 in mixed precision.
        *args, **kwargs: Of mmengine's loop.
    """

    def __init__(
        self, *args, skip_not_finite: Optional[int] = None, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self._skip_not_finite = skip_not_finite
        self.guard = LossGuard()

    def run(self):
        """Check the recipe against model and optimizers, then train."""
        model = self.runner.model
        self._model = model.module if is_model_wrapper(model) else model
        self._check()
        if self._skip_not_finite is None:
            # losses overflow now and then, and are skipped by its scaler
            wrappers = self.runner.optim_wrapper.values()
            amp = any(isinstance(w, AmpOptimWrapper) for w in wrappers)
            self._skip_not_finite = 20 if amp else 0
        self.guard.skip = self._skip_not_finite
        self.updates = {
            phase.name: PhaseUpdate(
                phase,
                [self.runner.optim_wrapper[name] for name in phase.trains],
                self.guard,
            )
            for phase in self._model.phases
        }
        self._init_accumulation()
        self._rehearsed = False
        self._is_over = False
        self._overtime = 0
        with Interruption() as self._interruption:
            try:
                super().run()
            except Interrupted:
                self._finish_interrupted()
                raise SystemExit(INTERRUPTED) from None
            if not self._is_over:
                self._finish_early()
        return self.runner.model

    def _finish(self, progress: float) -> bool:
        """Let hooks act at the end, whenever that is; whether any did.

        Args:
            progress (float): Of the last iteration.
        """
        self._is_over = True
        self.runner.call_hook('at_end', progress=progress)
        return any(hasattr(hook, 'at_end') for hook in self.runner.hooks)

    def _finish_early(self) -> None:
        """After something has stopped the training, such as
        ``EarlyStoppingHook``: the last checkpoint is that of the last
        iteration, and the last validation that of what hooks have made."""
        runner = self.runner
        if self._finish((self._iter - 1) / self._max_iters):
            if runner.val_loop is not None:
                runner.val_loop.run()
            save_last(runner, again=True)
        else:
            save_last(runner)

    def _finish_interrupted(self) -> None:
        """What hooks make at the end goes to a file of its own, from which
        nothing is resumed."""
        runner = self.runner
        runner.call_hook('after_train')
        by_epoch = isinstance(self, EpochBasedTrainLoop)
        if self._finish((self._iter - 1) / self._max_iters) or by_epoch:
            meta = dict(epoch=self._epoch, iter=self._iter)
            runner.save_checkpoint(runner.work_dir, 'final.pth', meta=meta)
        barrier()  # a launcher ends all ranks when the first of them is gone
        runner.logger.warning(
            f'SIGTERM: training has stopped after iteration {self._iter} of '
            f'{self._max_iters}. Go on with --resume.'
        )

    def _run_iter(self, batch_idx: int, data_batch: dict) -> None:
        self.runner.call_hook(
            'before_train_iter', batch_idx=batch_idx, data_batch=data_batch
        )
        outputs = self._run_phases(data_batch)
        if self._iter + 1 == self._max_iters:
            self._finish(self._iter / self._max_iters)
        self.runner.call_hook(
            'after_train_iter',
            batch_idx=batch_idx,
            data_batch=data_batch,
            outputs=outputs,
        )
        self._iter += 1
        if self._stops_here():
            if isinstance(self, IterBasedTrainLoop):
                # of an epoch, only the end can be gone on from
                save_last(self.runner)
            raise Interrupted

    def _stops_here(self) -> bool:
        """Whether SIGTERM ends training now. Gradients that are accumulated
        would be lost, and are waited for; not for ever, since two networks
        need not be done at the same time."""
        if self._is_over or not self._interruption.stops_after(self._iter):
            return False
        leads = [update.lead for update in self.updates.values()]
        longest = max(wrapper._accumulative_counts for wrapper in leads)
        self._overtime += 1
        done = all(wrapper.should_update() for wrapper in leads)
        return done or self._overtime >= longest

    def _run_phases(self, data_batch: dict) -> dict:
        progress = self._iter / self._max_iters
        self.guard.iteration = self._iter
        self.guard.check_rates(self.runner.optim_wrapper)
        views = self._model.make_views(data_batch)
        if not self._rehearsed:
            self._model.rehearse(views)
            self._rehearsed = True
        outputs = {}
        for phase in self._model.phases:
            if progress in phase.span:
                log_vars = self.updates[phase.name](
                    self.runner.model, views, progress
                )
                outputs.update(
                    {
                        f'{phase.name}/{key}': value
                        for key, value in log_vars.items()
                    }
                )
        # mmdet's CheckInvalidLossHook reads `loss`
        totals = [v for k, v in outputs.items() if k.endswith('/loss')]
        return dict(loss=sum(totals), **outputs)

    def _seed(self, step: int) -> int:
        """Seed this process for a step; returns the seed."""
        entropy = np.random.SeedSequence([self.runner.seed, get_rank(), step])
        # 31 bits: mmengine adds the worker's number to it.
        seed = int(entropy.generate_state(1)[0] >> 1)
        set_random_seed(seed)
        return seed

    def _init_accumulation(self) -> None:
        """Tell each optimizer in how many iterations it takes part, so that
        gradient accumulation loses none at the end."""

        def steps(phases, until):
            return sum(
                i / self._max_iters in phase.span
                for phase in phases
                for i in range(until)
            )

        for name, wrapper in self.runner.optim_wrapper.items():
            phases = [p for p in self._model.phases if name == p.trains[0]]
            wrapper.initialize_count_status(
                self.runner.model,
                steps(phases, self._iter),
                steps(phases, self._max_iters),
            )

    def _check(self) -> None:
        """Raise TypeError or ValueError for what cannot train as meant."""
        kind = type(self).__name__
        model, optim_wrapper = self.runner.model, self.runner.optim_wrapper
        if not isinstance(self._model, SRTaskModel):
            raise TypeError(
                f'{kind} trains the phases of an SRTaskModel, but '
                f'model.type is {type(self._model).__name__}.'
            )
        if not len(self._model.phases):
            raise ValueError(
                'model.phases is empty: nothing to train. See '
                'configs/_base_/recipes/.'
            )
        gap = Span().first_gap([phase.span for phase in self._model.phases])
        if gap is not None:
            raise ValueError(
                f'model.phases: none is active from {gap:g} of '
                'the training on.'
            )
        if not isinstance(optim_wrapper, OptimWrapperDict):
            raise TypeError(
                'optim_wrapper needs one optimizer per network: dict('
                "constructor='sr4ir_mm.NetworkOptimWrapperConstructor', "
                'sr_net=dict(...), task_model=dict(...)).'
            )
        for phase in self._model.phases:
            for name in phase.trains:
                if name not in optim_wrapper:
                    raise ValueError(
                        f'Phase {phase.name!r} trains {name}, but'
                        f' optim_wrapper.{name} is not set.'
                    )
        if is_model_wrapper(model) and not (
            isinstance(model, MMDistributedDataParallel)
            and model.find_unused_parameters
        ):
            raise ValueError(
                'Each phase leaves a network out, so distributed training '
                "needs model_wrapper_cfg=dict(type='MMDistributedDataParallel'"
                ', find_unused_parameters=True, broadcast_buffers=False).'
            )


@LOOPS.register_module()
class AlternatingEpochTrainLoop(_AlternatingLoop, EpochBasedTrainLoop):
    """Epoch-based loop that alternates the phases of an SRTaskModel, batch by
    batch (SR4IR, section 3.3).

    The workers of the data loader restart at every epoch, whatever
    ``persistent_workers`` says: their random state then depends on the epoch
    alone, and a resumed training repeats it.

    Args: See :class:`mmengine.runner.EpochBasedTrainLoop`.
    """

    def __init__(
        self, runner, dataloader: Union[DataLoader, Dict], **kwargs
    ) -> None:
        if isinstance(dataloader, dict):
            dataloader = dict(dataloader, persistent_workers=False)
        super().__init__(runner, dataloader, **kwargs)

    def run_epoch(self) -> None:
        """Seed the epoch in this process and the workers, then run it."""
        seed = self._seed(self._epoch)
        init_fn = self.dataloader.worker_init_fn
        if isinstance(init_fn, partial) and init_fn.func is worker_init_fn:
            self.dataloader.worker_init_fn = partial(init_fn, seed=seed)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Run the active phases on a batch."""
        self._run_iter(idx, data_batch)


@LOOPS.register_module()
class AlternatingIterTrainLoop(_AlternatingLoop, IterBasedTrainLoop):
    """Iteration-based loop that alternates the phases of an SRTaskModel, batch
    by batch (SR4IR, section 3.3).

    Args: See :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    def run(self):
        """Seed every iteration, then train."""
        self.dataloader_iterator = _SeededBatches(
            self.dataloader_iterator, self._seed
        )
        return super().run()

    def run_iter(self, data_batch: dict) -> None:
        """Run the active phases on a batch."""
        self._run_iter(self._iter, data_batch)


class _SeededBatches:
    """Draws each batch after the seed of its iteration.

    On resuming, those before are drawn again, so that samplers, augmentations
    and workers are where they were. mmengine does that by itself.
    onedl-mmengine 0.10.12 calls ``skip_iter``, and its own moves the sampler
    alone: the same images with other augmentations.

    Args:
        batches (Iterator[dict]): mmengine's.
        seed (Callable): Seeds an iteration, given its number.
    """

    def __init__(
        self, batches: Iterator[dict], seed: Callable[[int], int]
    ) -> None:
        self._batches = batches
        self._seed = seed
        self._step = 0

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        self._seed(self._step)
        self._step += 1
        return next(self._batches)

    def skip_iter(self, num_iters: int) -> None:
        """Draw so many batches, and leave them.

        Args:
            num_iters (int): How many.
        """
        for _ in range(num_iters):
            next(self)
