import os.path as osp
from typing import Optional, Sequence

from mmengine.dist import master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sr4ir_mm.files import write_image
from sr4ir_mm.models import TaskLoss
from sr4ir_mm.registry import HOOKS, require_package
from sr4ir_mm.visualization import draw_panel

from .preflight import build_loader


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
        interval (int): Draw the first image of every ``interval``-th batch.
            Defaults to 50.
        show (bool): Also show the panels in a window. Defaults to False.
        wait_time (float): Seconds to show a panel. Defaults to 0.
        out_dir (str, optional): Folder to store the panels in, in place of the
            visualizer's back ends; mmpretrain's ``test.py`` sets it.
        test_out_dir (str, optional): The same, by mmdet's name.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
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

    @master_only
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence] = None,
        mode: str = 'train',
    ) -> None:
        if not self.draw or mode == 'train' or batch_idx % self.interval:
            return
        model = runner.model
        panel, name = draw_panel(
            model.module if is_model_wrapper(model) else model,
            data_batch,
            runner.visualizer,
        )
        name = f'{batch_idx:05d}_{name}'  # images may share their name
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
    BatchNorm", 2021), by mmpretrain's function for it.

    SR4IR shows the task model three kinds of images, each of which BatchNorm
    normalises by itself in training, while its running statistics, which are
    used in prediction, mix them. At x8 that costs much of what the method
    gains (docs/en/results.md). BatchNorm that is frozen stays as it is, and
    so does that of a task model that is not trained at the end, as in T -> S,
    or that sees its views in one batch, ``sr+hr+cqmix``, whose running
    statistics are right.

    Unlike ``mmpretrain.PreciseBNHook``, it leaves the order of the training
    data as it is, and knows epochs and iterations alike.

    Args:
        num_samples (int): Training images to take them from. Defaults to 640.
    """

    def __init__(self, num_samples: int = 640) -> None:
        require_package('mmpretrain', 'mmpretrain', 'PreciseBNHook')
        self.num_samples = num_samples

    def at_end(self, runner: Runner, progress: float) -> None:
        """Recompute them, whenever training ends.

        Args:
            runner (Runner): Its runner.
            progress (float): Fraction of the planned training that is done.
        """
        from mmpretrain.engine.hooks.precise_bn_hook import update_bn_stats

        model = runner.model
        bare = getattr(model, 'module', model)
        phases = [
            phase
            for phase in bare.phases
            if 'task_model' in phase.trains and progress in phase.span
        ]
        in_one_batch = any(
            isinstance(loss, TaskLoss) and '+' in ' '.join(loss.views)
            for phase in phases
            for loss in phase.losses
            if progress in loss.span
        )
        if not phases or in_one_batch:
            return
        bare.task_model.train()
        # of `batch_size`, which it reads, and a batch sampler leaves out
        settings = dict(runner.cfg.train_dataloader, batch_sampler=None)
        loader = build_loader(settings, seed=runner.seed)
        update_bn_stats(model, loader, self.num_samples, runner.logger)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # averaged before this
                averages = hook.ema_model.module.buffers()
                for average, buffer in zip(averages, bare.buffers()):
                    average.copy_(buffer)
