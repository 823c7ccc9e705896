"""What a config's training is like, from a few of its iterations."""

import copy
from typing import Dict, List, NamedTuple, Optional

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from torch.nn.modules.batchnorm import _BatchNorm

from sr4ir_mm.datasets.census import Census
from sr4ir_mm.engine.preflight import build_loader, check_data
from sr4ir_mm.engine.stopwatch import Stopwatch
from sr4ir_mm.models.losses import PixelLoss, TaskLoss
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import in_one_batch

from ..analysis.comparison import without_reports
from ..analysis.gradients import Pull, measure_pull

BATCHES = 4  # for the pull
ITERS, WARMUP = 3, 1  # that are timed, and before


class Look(NamedTuple):
    """
    Args:
        seconds (float): Of an iteration, with all losses.
        memory (float): Peak of training, MiB.
        hours (float): Of the whole schedule.
        pulls (dict[str, Pull]): Of the SR network's losses, by their names.
        norms (int): BatchNorm layers of the task model that train.
        by_itself (bool): Whether each of several kinds of images passes them
            alone, and nothing computes their statistics anew.
        censuses (list[Census]): Of the training data.
    """

    seconds: float
    memory: float
    hours: float
    pulls: Dict[str, Pull]
    norms: int
    by_itself: bool
    censuses: List[Census]


class _Looker(Hook):
    """Looks at a training before it moves anything."""

    def before_train(self, runner) -> None:
        model: SRTaskModel = runner.model
        # its own: to leave an iterator of an InfiniteSampler ends all others
        loader = build_loader(runner.cfg.train_dataloader, seed=runner.seed)
        self.pulls = {}
        has_pixels = any(isinstance(m, PixelLoss) for m in model.modules())
        if has_pixels:
            self.pulls = measure_pull(model, loader, BATCHES)
            del self.pulls['PixelLoss']
        model.task_model.train()
        self.norms = sum(
            isinstance(module, _BatchNorm) and module.training
            for module in model.task_model.modules()
        )
        self.views = [
            list(loss.views)
            for loss in model.modules()
            if isinstance(loss, TaskLoss)
        ]
        self.censuses = check_data(
            loader, 'train_dataloader', model, runner.cfg
        )
        loop = runner.cfg.planned
        self.iters = loop.get('max_iters') or loop.max_epochs * len(loader)


def look_at(cfg: Config, work_dir: str, sr_net: Optional[str] = None) -> Look:
    """Train a few iterations of a config, with all of its losses.

    Args:
        cfg (Config): It stays as it is.
        work_dir (str): For the log.
        sr_net (str, optional): Weights that its SR network starts from.
    """
    cfg = Config(copy.deepcopy(cfg.to_dict()))
    shares = {}
    for phase in cfg.model.phases:
        shares[phase.name] = phase.pop('end', 1) - phase.pop('begin', 0)
        for loss in phase.losses:
            loss.pop('begin', None)
            loss.pop('end', None)
    if sr_net:
        cfg.model.sr_net.init_cfg = dict(type='Pretrained', checkpoint=sr_net)
    hooks = cfg.get('custom_hooks') or []
    cfg.planned, cfg.work_dir = cfg.train_cfg, work_dir
    cfg.train_cfg = dict(
        type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=WARMUP + ITERS
    )
    for part in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{part}'] = cfg[f'test_{part}'] = None
    cfg.param_scheduler = cfg.custom_hooks = None
    cfg.default_hooks = dict(checkpoint=None, logger=None)
    cfg.log_level = 'ERROR'
    looker, watch = _Looker(), Stopwatch()
    with without_reports():
        runner = RUNNERS.build(cfg)
        # from before the pull on, whose memory is not given back
        runner.register_hook(watch, 'HIGHEST')
        runner.register_hook(looker, 'HIGHEST')
        runner.train()
    seconds = dict.fromkeys(shares, 0.0)
    for part, times in watch.parts.items():
        seconds[part.partition(':')[0]] += sum(times[WARMUP:]) / ITERS
    whole = sum(watch.iterations[WARMUP:]) / ITERS
    rest = whole - sum(seconds.values())
    average = rest + sum(seconds[name] * shares[name] for name in shares)
    apart = any(
        len(views) > 1 and not any(map(in_one_batch, views))
        for views in looker.views
    )
    precise = any('PreciseBN' in hook['type'] for hook in hooks)
    return Look(
        whole,
        watch.memory.peak(),
        average * looker.iters / 3600,
        looker.pulls,
        looker.norms,
        apart and not precise,
        looker.censuses,
    )
