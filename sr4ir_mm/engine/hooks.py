import math
import os.path as osp
from itertools import chain, islice
from typing import Dict, Optional, Sequence

import mmengine.hooks
import torch
from mmengine.dist import all_reduce, get_world_size, master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from sr4ir_mm.models import SRTaskModel, TaskLoss
from sr4ir_mm.models.views import in_one_batch
from sr4ir_mm.registry import HOOKS
from sr4ir_mm.utils.files import write_image
from sr4ir_mm.visualization import draw_panel

from .preflight import build_loader

MOST_PANELS = 100  # of a test, unless its config says how many


@HOOKS.register_module()
class SRVisualizationHook(Hook):
    """Panels: LR, SR and HR, what the task model predicts from each, and the
    ground truth.

    Takes the place of a toolbox's visualization hook and understands the same
    options, so ``tools/test.py --show-dir`` works. The toolbox's own
    visualizer draws the predictions; its back ends store the panel.

    Args:
        draw (bool): Whether to draw at all. Defaults to False.
        enable (bool): The same, by mmpretrain's name.
        interval (int, optional): Draw every ``interval``-th image. Defaults to
            50 in validation; in a test to 1, or more where there are more than
            100 images.
        show (bool): Also show the panels in a window. Defaults to False.
        wait_time (float): Seconds to show a panel. Defaults to 0.
        out_dir (str, optional): Folder to store the panels in, in place of the
            visualizer's back ends; mmpretrain's ``test.py`` sets it.
        test_out_dir (str, optional): The same, by mmdet's name.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: Optional[int] = None,
        show: bool = False,
        wait_time: float = 0.0,
        enable: bool = False,
        out_dir: Optional[str] = None,
        test_out_dir: Optional[str] = None,
    ) -> None:
        self.draw = draw or enable
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self.out_dir = out_dir or test_out_dir

    def before_val(self, runner: Runner) -> None:
        """Decide which images to draw."""
        self._every = self.interval or 50
        self._seen = 0

    def before_test(self, runner: Runner) -> None:
        """Decide which images to draw, and say so."""
        number = len(runner.test_dataloader.sampler)  # of this rank
        self._every = self.interval or -(-number // MOST_PANELS)
        self._seen = 0
        if self.draw:
            text = f'Panels: {-(-number // self._every)} of {number} images'
            if self._every > 1:
                text += (
                    f', every {self._every}th. All of them: --cfg-options '
                    'default_hooks.visualization.interval=1'
                )
            runner.logger.info(f'{text}.')

    @master_only
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence] = None,
        mode: str = 'train',
    ) -> None:
        if not self.draw or mode == 'train':
            return
        number = len(data_batch['inputs'])
        for index in range(-self._seen % self._every, number, self._every):
            one = {k: v[index : index + 1] for k, v in data_batch.items()}
            self._draw(runner, one, self._seen + index, mode)
        self._seen += number

    def _draw(
        self, runner: Runner, data_batch: dict, index: int, mode: str
    ) -> None:
        model = runner.model
        panel, name = draw_panel(
            model.module if is_model_wrapper(model) else model,
            data_batch,
            runner.visualizer,
        )
        name = f'{index:05d}_{name}'  # images may share their name
        if self.show:
            runner.visualizer.show(panel, name, wait_time=self.wait_time)
        if self.out_dir:
            path = osp.join(self.out_dir, f'{mode}_{name}.png')
            write_image(panel[..., ::-1], path)
        else:
            runner.visualizer.add_image(
                f'{mode}_{name}', panel, step=runner.iter
            )


@HOOKS.register_module()
class ParamSchedulerHook(mmengine.hooks.ParamSchedulerHook):
    """mmengine's. A validation without the metric that a rate depends on
    (``ReduceOnPlateauLR``), where nothing is detected, say, was no better,
    and does not end the training."""

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[Dict[str, float]] = None
    ) -> None:
        """Step those that depend on it."""
        schedulers = runner.param_schedulers or []
        if isinstance(schedulers, dict):
            schedulers = chain(*schedulers.values())
        monitored = {getattr(s, 'monitor', None) for s in schedulers} - {None}
        missing = sorted(monitored - set(metrics or {}))
        if missing and metrics is not None:
            runner.logger.warning(
                f'param_scheduler: this validation has no metric '
                f'{", ".join(missing)}: it counts as no better.'
            )
            metrics = {**metrics, **dict.fromkeys(missing, math.nan)}
        super().after_val_epoch(runner, metrics)


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles parts of the networks with ``torch.compile``.

    Not whole task models: their losses are full of Python. Names of weights
    stay as they are.

    Args:
        modules (Sequence[str]): Names of modules, such as ``sr_net`` and
            ``task_model.backbone``.
        **kwargs: Those of :func:`torch.compile`.
    """

    def __init__(self, modules: Sequence[str], **kwargs) -> None:
        self.modules = modules
        self.kwargs = kwargs

    def before_run(self, runner: Runner) -> None:
        """Mark them; they are compiled when they first run.

        Raises:
            ValueError: If there is no such module.
        """
        model = runner.model
        modules = dict(getattr(model, 'module', model).named_modules())
        for name in self.modules:
            if name not in modules:
                raise ValueError(
                    f'CompileHook.modules: the model has no {name!r}. See '
                    '`print(model)` for what it has.'
                )
            modules[name].compile(**self.kwargs)


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Gives the task model's BatchNorm, when training ends, the statistics of
    the view that it predicts from (Wu and Johnson, "Rethinking 'Batch' in
    BatchNorm", 2021).

    SR4IR shows the task model three kinds of images, each of which BatchNorm
    normalises by itself in training, while its running statistics, which are
    used in prediction, mix them. At x8 that costs much of what the method
    gains (docs/en/results.md). BatchNorm that is frozen stays as it is, and
    so does that of a task model that is not trained at the end, as in T -> S,
    or that sees its views in one batch, ``sr+hr+cqmix`` or ``half``, whose
    running statistics are right.

    Where weights are averaged (``EMAHook``), they are those of the averaged
    network, which is the one that predicts. The order of the training data
    stays as it is.

    Args:
        num_samples (int): Training images to take them from, one batch at
            least. Defaults to 640.
    """

    def __init__(self, num_samples: int = 640) -> None:
        self.num_samples = num_samples

    def at_end(self, runner: Runner, progress: float) -> None:
        """Recompute them, whenever training ends.

        Args:
            runner (Runner): Its runner.
            progress (float): Fraction of the planned training that is done.
        """
        model = getattr(runner.model, 'module', runner.model)
        phases = [
            phase
            for phase in model.phases
            if 'task_model' in phase.trains and progress in phase.span
        ]
        views = [
            view
            for phase in phases
            for loss in phase.losses
            if isinstance(loss, TaskLoss) and progress in loss.span
            for view in loss.views
        ]
        if not phases or any(map(in_one_batch, views)):
            return
        averaged = [h for h in runner.hooks if isinstance(h, EMAHook)]
        for hook in averaged:
            hook._swap_ema_parameters()
        self._recompute(runner, model)
        for hook in averaged:
            buffers = hook.ema_model.module.buffers()
            for average, buffer in zip(buffers, model.buffers()):
                average.copy_(buffer)
            hook._swap_ema_parameters()

    @torch.no_grad()
    def _recompute(self, runner: Runner, model: SRTaskModel) -> None:
        model.eval()  # the SR network's images are those of prediction
        model.task_model.train()
        norms = [
            module
            for module in model.task_model.modules()
            if isinstance(module, _BatchNorm)
            and module.training
            and module.track_running_stats
        ]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.num_batches_tracked.zero_()
            norm.momentum = None  # that is, the mean of all batches
        loader = build_loader(runner.cfg.train_dataloader, seed=runner.seed)
        at_once = loader.batch_sampler.batch_size * get_world_size()
        number = min(max(self.num_samples // at_once, 1), len(loader))
        for batch in islice(loader, number):
            model(**model.data_preprocessor(batch, False))
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
            all_reduce(norm.running_mean, 'mean')
            all_reduce(norm.running_var, 'mean')
        runner.logger.info(
            f'PreciseBNHook: statistics of {len(norms)} BatchNorm layers, '
            f'from {number} batches.'
        )
