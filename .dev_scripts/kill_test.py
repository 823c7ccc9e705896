"""Kill trainings at random moments, let them go on, and compare.

Short trainings of the three tasks on toy scenes are ended by SIGKILL, some of
them while a checkpoint is being written (slowly, as on a bad disk), and
resumed. Each must end with the weights, and the state of the optimizers, of a
training that nobody disturbed, bit for bit.

    python .dev_scripts/kill_test.py --kills 50 --while-writing 10
"""

import argparse
import os
import os.path as osp
import random
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import Optional

import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.registry import RUNNERS, init_default_scope

import sr4ir_mm  # noqa: F401
from sr4ir_mm.datasets.toy_scenes import write_toy_scenes
from sr4ir_mm.engine.contract import NothingLeftError
from sr4ir_mm.engine.run_folder import find_checkpoints
from sr4ir_mm.registry import MODELS

TASKS = dict(seg='unet', det='fcos', cls='resnet18')
ITERS = 12
KILLS_PER_RUN = 3  # then it may finish


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument(
        '--while-writing',
        type=int,
        default=10,
        help='so many of them while a checkpoint is being written',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', default='work_dirs/kill_test')
    return parser.parse_args()


def get_config(task: str, work_dir: str, data_root: str) -> Config:
    folder = osp.join(osp.dirname(__file__), '..', 'configs', 'toy')
    cfg = Config.fromfile(osp.join(folder, f'sr4ir_{TASKS[task]}_toy_x4.py'))
    cfg.work_dir = work_dir
    cfg.resume = True
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.log_level = 'WARNING'
    cfg.train_cfg.update(max_iters=ITERS, val_interval=10**6)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[key] = None
    for key in ('test_cfg', 'test_dataloader', 'test_evaluator'):
        cfg[key] = None
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=1)
    cfg.train_dataloader.batch_size = 2
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = data_root
    for schedules in cfg.param_scheduler.values():
        for schedule in schedules:  # all of them, in a short run
            schedule.update(begin=0, end=ITERS)
    return cfg


def start(cfg: Config, slow_disk: bool = False) -> int:
    """Train in a process of its own; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if slow_disk:
            LocalBackend.put = _put_slowly
        with suppress(NothingLeftError):  # killed after its last checkpoint
            RUNNERS.build(cfg).train()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _put_slowly(self, content: bytes, path: str) -> None:
    os.makedirs(osp.dirname(path), exist_ok=True)
    size = len(content) // 20 + 1
    with open(path, 'wb', buffering=0) as file:
        for i in range(0, len(content), size):
            file.write(content[i : i + size])
            time.sleep(0.01)


def kill(pid: int, wait: float, writing: Optional[str]) -> Optional[str]:
    """Kill a process after some seconds or, where ``writing`` is a folder, at
    a moment when a checkpoint is being written there.

    Returns:
        str | None: What it was doing; None if it was over by then.
    """
    begin = time.time()
    parts = []
    while time.time() - begin < wait or (writing and not parts):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return None
        if writing and time.time() - begin >= wait and osp.isdir(writing):
            parts = [f for f in os.listdir(writing) if f.endswith('.part')]
        time.sleep(0.002)
    if writing:
        time.sleep(random.random() * 0.15)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if writing and not any(f.endswith('.part') for f in os.listdir(writing)):
        return 'just after writing a checkpoint'
    return 'writing a checkpoint' if writing else 'anything'


def same(one: str, other: str) -> bool:
    """Whether two checkpoints have equal weights and optimizers."""
    one, other = torch.load(one), torch.load(other)
    return _equal(
        [one['state_dict'], one['optimizer'], one['param_schedulers']],
        [other['state_dict'], other['optimizer'], other['param_schedulers']],
    )


def _equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _equal(one[key], other[key]) for key in one
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other


def main() -> None:
    args = parse_args()
    random.seed(args.seed)
    torch.set_num_threads(1)
    shutil.rmtree(args.work_dir, ignore_errors=True)
    data_root = osp.join(args.work_dir, 'toy_scenes')
    write_toy_scenes(data_root, num_train=8, num_val=2, size=(64, 64))
    seconds = {}
    for task in TASKS:
        cfg = get_config(task, osp.join(args.work_dir, task), data_root)
        init_default_scope(cfg.default_scope)
        MODELS.build(cfg.model)  # imports, once for all processes
        begin = time.time()
        _, status = os.waitpid(start(cfg), 0)
        assert status == 0, f'{task}: the undisturbed training fails'
        seconds[task] = time.time() - begin
    done = dict.fromkeys(
        ('anything', 'writing a checkpoint', 'just after writing a checkpoint')
    )
    done = {key: 0 for key in done}
    runs = failed = 0
    while sum(done.values()) < args.kills:
        task = list(TASKS)[runs % len(TASKS)]
        folder = osp.join(args.work_dir, f'{task}_{runs}')
        cfg = get_config(task, folder, data_root)
        for _ in range(KILLS_PER_RUN):
            left = args.kills - sum(done.values())
            writing = args.while_writing - done['writing a checkpoint']
            slow = random.random() * left < writing
            wait = random.random() * seconds[task] * (0.5 if slow else 1)
            pid = start(cfg, slow_disk=slow)
            what = kill(pid, wait, folder if slow else None)
            if what is None:
                break
            done[what] += 1
            left_over = [osp.basename(p) for p in find_checkpoints(folder)]
            print(f'{task} {runs}: killed, {what}; left: {left_over}')
            if sum(done.values()) == args.kills:
                break
        name = f'iter_{ITERS}.pth'
        status = 0
        if not osp.isfile(osp.join(folder, name)):  # something is left
            _, status = os.waitpid(start(cfg), 0)
        good = status == 0 and same(
            osp.join(folder, name), osp.join(args.work_dir, task, name)
        )
        failed += not good
        runs += 1
        print(f'{task} {runs - 1}: {"same weights" if good else "FAILED"}')
        sys.stdout.flush()
    print(
        f'{runs} trainings, {sum(done.values())} kills: '
        + ', '.join(f'{n} {what}' for what, n in done.items())
        + f'. {runs - failed} ended with the weights of an undisturbed one.'
    )
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
