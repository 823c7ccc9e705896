import os
import os.path as osp
from collections import Counter
from typing import Dict, List, Optional, Sequence
from uuid import uuid4

import mmengine.runner
from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.checkpoint import (
    _load_checkpoint,
    _load_checkpoint_to_model,
)
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from sr4ir_mm.datasets.census import Census
from sr4ir_mm.evaluation.metrics import look_through
from sr4ir_mm.models.pretrained import not_finite, stays_finite
from sr4ir_mm.registry import RUNNERS
from sr4ir_mm.utils.quiet import keep_short
from sr4ir_mm.utils.safe_load import UnreadableFileError

from .checkpoint_fit import (
    check_overlap,
    check_scale,
    complete,
    describe_misfit,
)
from .contract import check_state, compare, facts_of, restore_rates
from .optim import in_iterations
from .preflight import (
    build_loader,
    check_batches,
    check_data,
    check_lengths,
    check_metrics,
    check_model,
    check_optimizers,
    check_schedules,
    name_of,
    refuse,
    report,
)
from .run_folder import (
    alone_in,
    find_checkpoints,
    read_run,
    run_of,
    warn_of_others,
    write_run,
)
from .screen import Bars


class OtherRunError(ValueError):
    """A checkpoint is of another run than the folder's."""


@RUNNERS.register_module()
class Runner(mmengine.runner.Runner):
    """mmengine's runner, for trainings that meet mishaps.

    - A checkpoint is there as a whole or not at all, whenever the process
      dies, and never holds weights that are not finite.
    - Resuming takes the newest checkpoint of the run in ``work_dir`` that can
      be read, wherever the folder has been moved to, and looks at what has
      changed since (:mod:`sr4ir_mm.engine.contract`).
    - One process at a time trains in a folder.
    - A checkpoint of another model is an error. Only ``load_from`` in
      training may leave out whole networks, and ``load_strict=False`` in the
      config takes whatever fits.
    - Images and labels that cannot be right are named before they are used
      (:func:`check_data`).

    ``runner_type='sr4ir_mm.Runner'`` in a config makes the toolboxes' own
    scripts use it, too.
    """

    _built: Counter = Counter()  # how many, by timestamp

    def __init__(self, *args, **kwargs) -> None:
        self._censuses: Dict[str, List[Census]] = {}
        super().__init__(*args, **kwargs)
        self._never_finite: List[str] = []
        self.run_id: Optional[str] = uuid4().hex
        self._only_run: Optional[dict] = None
        check_optimizers(self.cfg, self._inner_model)
        keys = ('val_evaluator', 'test_evaluator')
        evaluators = {key: self.cfg.get(key) or [] for key in keys}
        check_metrics(evaluators, self._inner_model)

    @property
    def _inner_model(self) -> nn.Module:
        """Without wrappers for DDP and test-time augmentation."""
        model = self.model
        while hasattr(model, 'module'):
            model = model.module
        return model

    def setup_env(self, env_cfg: dict) -> None:
        """See mmengine; two runners that one process builds in the same
        second do not share their log, message hub and pictures."""
        super().setup_env(env_cfg)
        earlier = self._built[self._timestamp]
        self._built[self._timestamp] += 1
        if earlier:
            self._timestamp += f'_{earlier}'

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """See mmengine; the screen shows less of it than the file."""
        logger = super().build_logger(*args, **kwargs)
        keep_short(logger)
        self.bars = Bars(logger)
        return logger

    def build_visualizer(self, visualizer=None) -> Visualizer:
        """See mmengine; every runner has its own. Those of the toolboxes'
        configs have the same name, and one of a name is made in a process:
        it writes all to the first runner's folder."""
        if isinstance(visualizer, dict):
            visualizer = dict(visualizer, name=self._experiment_name)
        return super().build_visualizer(visualizer)

    @property
    def iter(self) -> int:
        """The iteration. mmengine's builds the training's loop and reads its
        data to answer, also in a test that only draws."""
        built = isinstance(self._train_loop, BaseLoop)
        return self._train_loop.iter if built else 0

    @property
    def epoch(self) -> int:
        """The epoch, likewise."""
        built = isinstance(self._train_loop, BaseLoop)
        return self._train_loop.epoch if built else 0

    def register_default_hooks(self, hooks: Optional[dict] = None) -> None:
        """See mmengine; two of its hooks are replaced by ours, and one is
        added."""
        hooks = dict(hooks or {}, progress=dict(type='sr4ir_mm.ProgressHook'))
        for key, name in (
            ('checkpoint', 'CheckpointHook'),
            ('param_scheduler', 'ParamSchedulerHook'),
        ):
            hook = hooks.setdefault(key, dict(type=name))
            if isinstance(hook, dict) and hook.get('type') == name:
                hooks[key] = dict(hook, type=f'sr4ir_mm.{name}')
        super().register_default_hooks(hooks)

    def build_dataloader(self, dataloader, *args, **kwargs) -> DataLoader:
        """Build a data loader, and look at all of its data before they are
        used (:func:`check_data`)."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        loader = build_loader(dataloader, *args, **kwargs)
        name, model = name_of(dataloader, self.cfg), self._inner_model
        censuses = check_data(loader, name, model, self.cfg)
        if name not in self._censuses:
            self._censuses[name] = censuses
            report(censuses, self.logger)
        refuse(sum(self._censuses.values(), []))
        check_model(model, censuses)
        if name == 'train_dataloader':
            check_batches(loader, model)
        return loader

    def _build_param_scheduler(self, scheduler, optim_wrapper) -> list:
        """See mmengine; schedules in iterations may begin after so many
        epochs, and those in parts of epochs have whole iterations."""
        given = scheduler if isinstance(scheduler, Sequence) else [scheduler]
        length = len(self.train_dataloader)
        return super()._build_param_scheduler(
            [in_iterations(one, length) for one in given], optim_wrapper
        )

    def build_evaluator(self, evaluator) -> Evaluator:
        """See mmengine; metrics that look through the model get it."""
        evaluator = super().build_evaluator(evaluator)
        look_through(evaluator, self._inner_model)
        return evaluator

    def train(self) -> nn.Module:
        """See mmengine; in a folder that no other process trains in.

        Raises:
            RuntimeError: If one does.
            ValueError: If there is nothing to train.
        """
        if isinstance(self._train_loop, dict):
            check_lengths(self._train_loop)
        if self._resume and self._randomness_cfg.get('seed') is None:
            # before samplers are made
            source = self._load_from or osp.join(self.work_dir, '')
            run = read_run(osp.dirname(source)) or {}
            randomness = dict(self._randomness_cfg, seed=run.get('seed'))
            self.set_randomness(**randomness)
        with alone_in(self.work_dir), self.bars:
            return super().train()

    def val(self) -> dict:
        """See mmengine."""
        with self.bars:
            return super().val()

    def test(self) -> dict:
        """See mmengine."""
        with self.bars:
            return super().test()

    # ------------------------------------------------------------- reading

    def load_checkpoint(
        self,
        filename: str,
        map_location='cpu',
        strict: Optional[bool] = None,
        revise_keys: list = [(r'^module.', '')],
        absent: Optional[Sequence[str]] = None,
    ) -> dict:
        """Load the weights of a checkpoint.

        Args:
            filename (str): Path or address.
            map_location: See :func:`torch.load`.
            strict (bool, optional): Whether all of the weights must fit.
                Defaults to ``load_strict`` of the config, or True.
            revise_keys (list): As in mmengine.
            absent (Sequence[str], optional): Networks that need not be in
                it. Defaults to all for ``load_from`` in training, else none.

        Raises:
            ValueError: If it is of another model, or not finite.
        """
        if strict is None:
            strict = self.cfg.get('load_strict', True)
        trains = isinstance(self._train_loop, BaseLoop)
        model = self._inner_model
        if absent is None:
            warm_start = trains and not self._resume
            absent = getattr(model, 'networks', ()) if warm_start else ()
        checkpoint = _load_checkpoint(filename, map_location=map_location)
        if trains and self._resume:
            self._check_run(checkpoint, filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if strict:
            for name in complete(checkpoint, model, absent):
                self.logger.warning(
                    f'{filename} has no {name}, which stays as it was.'
                )
        try:
            with stays_finite(model, filename):
                _load_checkpoint_to_model(
                    self.model, checkpoint, strict, revise_keys=revise_keys
                )
        except RuntimeError as error:
            raise ValueError(
                f'{filename} is of another model: '
                f'{describe_misfit(checkpoint, model) or error}. Take the '
                'config that it was trained with, or, to load what fits, '
                '--cfg-options load_strict=False.'
            ) from error
        if strict and not absent:
            check_scale(checkpoint, model, filename)
        elif not strict:
            self.logger.warning(
                f'{filename}: load_strict=False: '
                f'{check_overlap(checkpoint, model, filename)}'
            )
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        if trains and self._resume and 'optimizer' not in checkpoint:
            self.logger.warning(
                f'{filename} has no state of the optimizers, which start '
                'afresh: resuming is not exact.'
            )
        # mmengine's `resume` would run it
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    def resume(self, filename: str, map_location='default') -> None:
        """Go on with the training of a checkpoint, as it was or with other
        settings (:mod:`sr4ir_mm.engine.contract`).

        Args:
            filename (str): Path or address.
            map_location: See :func:`torch.load`. Defaults to the device.

        Raises:
            OtherRunError: If another run's is not asked for.
            NothingLeftError: If its training is over.
            ValueError: If it cannot go on with the config.
        """
        if osp.isdir(filename):
            raise ValueError(
                f'--resume {filename}: this is a folder. Name a checkpoint in '
                f'it, or take its newest, with --work-dir {filename} --resume.'
            )
        if map_location == 'default':
            map_location = get_device()
        checkpoint = self.load_checkpoint(filename, map_location)
        misfit = describe_misfit(checkpoint, self._inner_model)
        if misfit:  # which load_strict=False has let through
            raise ValueError(
                f'--resume: {filename} is of another model: {misfit}. The '
                'state of its optimizers fits no better: start from its '
                f'weights, with --cfg-options load_from={filename} in place '
                'of --resume.'
            )
        self.run_id = run_of(checkpoint).get('id')
        changes = compare(checkpoint, self, filename)
        meta, loop = checkpoint['meta'], self._train_loop
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        loop._epoch, loop._iter = meta['epoch'], meta['iter']
        if isinstance(loop, EpochBasedTrainLoop):  # of any length by now
            loop._iter = loop.epoch * len(loop.dataloader)
        restore_rates(checkpoint, self, changes)
        self.logger.info(f'resumed epoch: {self.epoch}, iter: {self.iter}')

    def _check_run(self, checkpoint: dict, filename: str) -> None:
        """Whether a checkpoint can be resumed from, before it is loaded."""
        check_state(checkpoint, filename)
        run_id = run_of(checkpoint).get('id')
        if self._only_run is not None and run_id != self._only_run['id']:
            raise OtherRunError(filename)
        if run_id is None:
            self.logger.warning(
                f'--resume: {filename} does not know its run, since it is of '
                'an earlier version: see to it that it is of this training.'
            )

    def load_or_resume(self) -> None:
        """Resume from the newest checkpoint of this run that can be read, or
        load the one that is asked for."""
        if self._resume and self._load_from is None and not self._has_loaded:
            self._resume_newest()
        else:
            super().load_or_resume()
        self._never_finite = not_finite(self._inner_model)
        if isinstance(self._train_loop, BaseLoop):
            check_schedules(self.param_schedulers, self._train_loop)
            source = self._load_from if self._resume else None
            if not self.iter or source:
                warn_of_others(self.work_dir, self.run_id, source)
            write_run(self.work_dir, self.run_id, self.seed)

    def _resume_newest(self) -> None:
        self._only_run = read_run(self.work_dir)
        others = []
        for path in find_checkpoints(self.work_dir):
            try:
                return self.resume(path)
            except UnreadableFileError as error:
                self.logger.warning(f'{error} Trying the one before it.')
            except OtherRunError:
                others.append(osp.basename(path))
        if others:
            raise ValueError(
                f'--resume: work_dir={self.work_dir} has no checkpoint of the '
                'run that was started there last, but of another '
                f'({", ".join(others)}). Go on with that one, with --resume '
                f'{osp.join(self.work_dir, others[0])}, or start afresh, '
                'without --resume.'
            )
        self.logger.warning(
            f'--resume: no checkpoint in {self.work_dir} can be read: '
            'training starts from the beginning.'
        )
        self._has_loaded = True  # a test after it takes what it has trained

    # ------------------------------------------------------------- writing

    @master_only
    def save_checkpoint(
        self, out_dir: str, filename: str, *args, **kwargs
    ) -> None:
        """Write a checkpoint beside its place, then put it there.

        Raises:
            FloatingPointError: If weights are not finite.
            OSError: If there is no space left, say.
        """
        self._check_weights(filename)
        model = self._inner_model
        meta = dict(
            kwargs.get('meta') or {}, run=dict(facts_of(self), id=self.run_id)
        )
        if hasattr(model, 'scale'):
            meta['scale'] = model.scale
        kwargs['meta'] = meta
        if '://' in str(out_dir):  # no file system
            return super().save_checkpoint(out_dir, filename, *args, **kwargs)
        path = osp.join(out_dir, filename)
        try:
            super().save_checkpoint(
                out_dir, f'{filename}.part', *args, **kwargs
            )
            with open(f'{path}.part', 'rb') as file:
                os.fsync(file.fileno())  # before the name, if power fails
            os.replace(f'{path}.part', path)
        except OSError as error:
            if osp.exists(f'{path}.part'):
                os.remove(f'{path}.part')
            raise OSError(
                f'Cannot write the checkpoint {path} ({error}). Those before '
                'it are whole: make room, and go on with --resume.'
            ) from error

    def _check_weights(self, filename: str) -> None:
        if hasattr(self._train_loop, 'guard'):
            self._train_loop.guard.settle()
        spoilt = not_finite(self._inner_model)
        spoilt = [name for name in spoilt if name not in self._never_finite]
        if spoilt:
            raise FloatingPointError(
                f'Iteration {self.iter}: {len(spoilt)} tensors of the model '
                f'are NaN or infinite, first {spoilt[0]}, and so {filename} '
                'is not written. The checkpoint before it is sound: resume '
                'from it, with a lower learning rate or clip_grad in '
                'optim_wrapper.'
            )
