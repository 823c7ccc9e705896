"""Short trainings of parts of a config, which tell what the whole would
bring."""

import copy
import os
import os.path as osp
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import mmengine
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, RUNNERS, DefaultScope
from mmengine.runner import Runner

from sr4ir_mm.utils.config_files import read_config_file

from ..schedule import nodes

# The task's, and what makes a percentage of it. In detection, AP of boxes that
# are roughly right: after so few iterations none are exact, and the mean over
# all thresholds differs more from seed to seed than from HR to LR.
METRICS = {'mIoU': 1, 'coco/bbox_mAP_50': 100, 'accuracy/top1': 1}
MAX_VALIDATION = 300  # images
HOLD_OUT = 5  # of so many training images, one, where there is no other
S_RATE = 2e-3  # of an SR network that starts from nothing


class Trial(NamedTuple):
    """A short training of one network.

    Args:
        name (str): What it is called on the screen.
        views (str): What the task model learns from: a view, or several as
            one batch, joined by ``+``. ``pixels``: the SR network learns.
        tests (tuple[str]): The views that it is tested on.
        seed (int): Of its data's order and of its head.
        iters (int): How long it is.
    """

    name: str
    views: str
    tests: Tuple[str, ...]
    seed: int
    iters: int

    def __str__(self) -> str:
        return f'{self.name}, seed {self.seed}'

    @property
    def cost(self) -> int:
        """In iterations with one view."""
        return self.iters * (self.views.count('+') + 1)


# ------------------------------------------------------------------- configs


def split_data(cfg: Config) -> Tuple[int, str]:
    """Make ``val_dataloader`` of a config one of images that are neither
    trained on nor those of the test.

    Args:
        cfg (Config): Changed in place.

    Returns:
        tuple: How many images are validated on, and which, in words.

    Raises:
        ValueError: If the images cannot be split.
    """
    val, test = cfg.get('val_dataloader'), cfg.get('test_dataloader')
    loader = val or test
    if not loader or not (cfg.get('val_evaluator') or cfg.test_evaluator):
        raise ValueError(
            'val_dataloader and val_evaluator are not set: without them, '
            'nothing tells how good a task model is.'
        )
    cfg.val_evaluator = cfg.get('val_evaluator') or cfg.test_evaluator
    cfg.val_cfg = cfg.get('val_cfg') or dict(type='ValLoop')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        if val and (not test or _images(val) != _images(test)):
            number = len(DATASETS.build(copy.deepcopy(val.dataset)))
            chosen = _spread(range(number))
            if len(chosen) < number:
                val.dataset.indices = chosen
                _count_only_what_is_shown(cfg)
            where = f'{len(chosen)} of {number} images of val_dataloader'
            return len(chosen), where
        dataset = cfg.train_dataloader.dataset
        while 'indices' not in dataset and isinstance(
            dataset.get('dataset'), dict
        ):  # a RepeatDataset, say
            dataset = dataset.dataset
        if 'datasets' in dataset:
            raise ValueError(
                'val_dataloader has the images of test_dataloader, which are '
                'not looked at before the end, and train_dataloader has '
                'several data sets, of which no part is held out: give '
                'val_dataloader images of its own.'
            )
        number = len(DATASETS.build(copy.deepcopy(dataset)))
    held = list(range(HOLD_OUT - 1, number, HOLD_OUT))
    chosen = _spread(held)
    held = set(held)
    pipeline = copy.deepcopy(loader.dataset.pipeline)
    loader = copy.deepcopy(loader)
    loader.dataset = dict(
        copy.deepcopy(dataset), pipeline=pipeline, indices=chosen
    )
    cfg.val_dataloader = loader
    _count_only_what_is_shown(cfg)
    dataset.indices = [i for i in range(number) if i not in held]
    where = f'{len(chosen)} of {number} training images, held out'
    return len(chosen), where


def _count_only_what_is_shown(cfg: Config) -> None:
    """To COCO's metric, whatever of its file is not shown has been missed.
    Without a file, it takes the labels of the images that it is shown."""
    for metric in _as_list(cfg.val_evaluator):
        if not metric.get('ann_file'):
            continue
        if metric['type'].rpartition('.')[2] != 'CocoMetric':
            raise ValueError(
                f'val_evaluator: {metric["type"]} counts all images of '
                f'ann_file={metric["ann_file"]!r}, and advise would show it '
                'a part of them: give val_dataloader images of its own, '
                f'{MAX_VALIDATION} at most, or CocoMetric.'
            )
        del metric['ann_file']
        for node in nodes(cfg.val_dataloader):
            if str(node.get('type')).endswith('PackDetInputs'):
                from mmdet.datasets.transforms import PackDetInputs

                keys = node.get('meta_keys') or PackDetInputs().meta_keys
                node['meta_keys'] = (*keys, 'instances')


def _images(loader: dict) -> dict:
    """What tells the images of a data loader from those of another."""
    keys = ('type', 'data_root', 'data_prefix', 'ann_file', 'split', 'indices')
    return {key: loader['dataset'].get(key) for key in keys}


def _spread(indices) -> List[int]:
    """So many of some indices as a validation looks at."""
    number = min(len(indices), MAX_VALIDATION)
    return [indices[i * len(indices) // number] for i in range(number)]


def trial_config(
    cfg: Config,
    trial: Trial,
    work_dir: str,
    sr_net: Optional[str] = None,
    task_model: Optional[str] = None,
) -> Config:
    """The config of a trial.

    Args:
        cfg (Config): Of the whole training, after :func:`split_data`.
        trial (Trial): The trial.
        work_dir (str): Where it goes.
        sr_net (str, optional): Weights of the SR network. Defaults to those
            that the config names, or none.
        task_model (str, optional): The same of the task model.
    """
    cfg = Config(copy.deepcopy(cfg.to_dict()))
    model, learns_pixels = cfg.model, trial.views == 'pixels'
    trains = 'sr_net' if learns_pixels else 'task_model'
    loss = (
        dict(type='sr4ir_mm.PixelLoss')
        if learns_pixels
        else dict(type='sr4ir_mm.TaskLoss', views={trial.views: 1.0})
    )
    model.phases = [dict(name='trial', trains=trains, losses=[loss])]
    model.view = trial.tests[0]
    model.teacher = model.anchor = model.real_fake_branch = None
    for name, weights in (('sr_net', sr_net), ('task_model', task_model)):
        if weights:
            model[name].init_cfg = dict(type='Pretrained', checkpoint=weights)
    if not learns_pixels and 'sr' not in trial.views:
        model.sr_net = None
    cfg.load_from, cfg.resume, cfg.work_dir = None, False, work_dir
    cfg.optim_wrapper = {
        key: cfg.optim_wrapper[key] for key in ('constructor', trains)
    }
    if learns_pixels:
        cfg.val_evaluator = []
        if not (model.sr_net.get('init_cfg') or {}).get('checkpoint'):
            cfg.optim_wrapper.sr_net.optimizer.lr = S_RATE
    cfg.val_evaluator = [
        metric
        for metric in _as_list(cfg.val_evaluator)
        if not metric['type'].startswith('sr4ir_mm.')
    ] + [dict(type='sr4ir_mm.SRPSNR')]
    _set_length(cfg, trial.iters)
    if learns_pixels:  # the others start from it
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', by_epoch=False, interval=trial.iters
        )
    cfg.randomness = dict(seed=trial.seed)
    return cfg


def _as_list(config) -> list:
    return [config] if isinstance(config, dict) else list(config)


def _set_length(cfg: Config, iters: int) -> None:
    """A schedule of so many iterations, whatever the config's is."""
    warmup = max(1, iters // 10)
    schedule = [
        dict(type='LinearLR', start_factor=0.1, end=warmup, by_epoch=False),
        dict(
            type='CosineAnnealingLR',
            begin=warmup,
            T_max=max(1, iters - warmup),
            end=iters,
            by_epoch=False,
        ),
    ]
    cfg.param_scheduler = dict(sr_net=schedule, task_model=schedule)
    cfg.train_cfg = dict(
        type='sr4ir_mm.AlternatingIterTrainLoop',
        max_iters=iters,
        val_interval=iters,
    )
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    cfg.train_dataloader.batch_sampler = None
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.log_processor = dict(by_epoch=False)
    cfg.default_hooks = dict(
        checkpoint=None,
        logger=dict(type='LoggerHook', interval=max(1, iters // 10)),
    )


# -------------------------------------------------------------------- running


class _Reporter(Hook):
    """Says how far a trial is, and keeps what its validations found."""

    def __init__(self, tell: Callable[[int], None], cost: int) -> None:
        self.tell, self.cost = tell, cost

    def after_train_iter(self, *args, **kwargs) -> None:
        self.tell(self.cost)

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.metrics = metrics


def run_trial(path: str, trial: Trial, tell: Callable[[int], None]) -> dict:
    """Train and test as a config says.

    Args:
        path (str): File of :func:`trial_config`.
        trial (Trial): The trial.
        tell (Callable): Called with what an iteration has cost.

    Returns:
        dict: ``seconds``, of the process, and ``found``, by the view that is
        tested on: ``task``, the task's metric, and ``psnr``. It is also
        written to ``results.json``, beside the config.
    """
    start = time.process_time()
    runner: Runner = RUNNERS.build(read_config_file(path))
    reporter = _Reporter(tell, trial.cost // trial.iters)
    runner.register_hook(reporter, 'LOWEST')
    runner.train()
    found = {trial.tests[0]: _scores(reporter.metrics)}
    for view in trial.tests[1:]:
        runner.model.view = view
        runner.val_loop.run()
        found[view] = _scores(reporter.metrics)
    seconds = time.process_time() - start
    result = dict(found=found, seconds=seconds)
    mmengine.dump(result, _results(path))
    return result


def _scores(metrics: Dict[str, float]) -> Dict[str, float]:
    scores = dict(psnr=float(metrics['sr/PSNR']))
    others = [name for name in metrics if not name.startswith('sr/')]
    for name in [*METRICS, *others]:
        if name in metrics:
            task = float(metrics[name]) * METRICS.get(name, 1)
            return dict(scores, task=task, metric=name.split('/')[-1])
    return scores


def _start_worker(pipe: Connection, lock: Lock) -> None:
    """A process for trials: quiet, on one thread, since small networks gain
    little from a second."""
    global _tell

    # not a queue, which has a thread: mmdet's VOCMetric forks
    def _tell(cost: int) -> None:
        try:
            with lock:
                pipe.send(cost)
        except BrokenPipeError:  # nobody waits for it any more
            os._exit(1)

    sys.stdout = sys.stderr = open(os.devnull, 'w')
    torch.set_num_threads(1)


def _work(path: str, trial: Trial) -> dict:
    return run_trial(path, trial, _tell)


def _results(path: str) -> str:
    """Where the results of a config's trial are."""
    return osp.join(osp.dirname(path), 'results.json')


class Pool:
    """Runs trials, as many at a time as there are cores.

    Args:
        cfg (Config): See :func:`trial_config`.
        work_dir (str): Each trial has a folder in it, with its config and
            its log.
        tell (Callable): Called with what has been done, in iterations with
            one view.
        task_model (str, optional): Weights that all task models start from.
    """

    def __init__(
        self,
        cfg: Config,
        work_dir: str,
        tell: Callable[[int], None],
        task_model: Optional[str] = None,
    ) -> None:
        self.cfg, self.work_dir, self.tell = cfg, work_dir, tell
        self.task_model = task_model
        context = get_context('spawn')  # fork and threads do not mix
        self._told, pipe = context.Pipe(duplex=False)
        workers = 1 if torch.cuda.is_available() else os.cpu_count()
        self._pool = ProcessPoolExecutor(
            workers, context, _start_worker, [pipe, context.Lock()]
        )
        self._futures: List[Future] = []

    def __enter__(self) -> 'Pool':
        return self

    def __exit__(self, *args) -> None:
        for future in self._futures:
            future.cancel()
        self._pool.shutdown()

    def submit(self, trial: Trial, sr_net: Optional[str] = None) -> Future:
        """Have a trial run, unless it has been before, say in a process that
        was stopped."""
        folder = self._folder(trial)
        os.makedirs(folder, exist_ok=True)
        path = osp.join(folder, 'config.py')
        cfg = trial_config(self.cfg, trial, folder, sr_net, self.task_model)
        if osp.isfile(_results(path)):
            if Config.fromfile(path).to_dict() == cfg.to_dict():
                future = Future()
                future.set_result(mmengine.load(_results(path)))
                return future
            os.remove(_results(path))
        cfg.dump(path)
        future = self._pool.submit(_work, path, trial)
        self._futures.append(future)
        return future

    def checkpoint(self, trial: Trial) -> str:
        """The weights that a trial has left."""
        return osp.join(self._folder(trial), f'iter_{trial.iters}.pth')

    def _folder(self, trial: Trial) -> str:
        return osp.join(self.work_dir, f'{trial.views}_{trial.seed}')

    def wait(self, future: Future) -> dict:
        """What :func:`run_trial` gives."""
        while not future.done():
            if self._told.poll(0.2):
                self.tell(self._told.recv())
        return future.result()
