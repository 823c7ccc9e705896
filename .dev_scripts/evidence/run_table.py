"""Run a table of a paper: ``python .dev_scripts/evidence/run_table.py TABLE``.

Trains and tests what the rows of the table stand for, one run after the other,
and writes TABLE.md and TABLE.csv, with the paper's figures beside ours, and
TABLE.png where there are noise levels to draw curves over. It skips what is
finished. When it is killed, the same command goes on with the run that was
under way, from its latest checkpoint.
"""

import argparse
import fcntl
import os.path as osp
import signal
import subprocess
import sys
import time
from datetime import timedelta
from itertools import product
from statistics import mean
from typing import IO, Dict, List, NamedTuple, Optional

import mmengine
from derive_config import locate, setup_of
from mmengine.config import Config, DictAction
from mmengine.runner import find_latest_checkpoint
from paper_tables import DATASETS, TABLES, Row
from report import write_tables

from sr4ir_mm.apis.schedule import shorten_by

HERE = osp.dirname(osp.abspath(__file__))


class Run(NamedTuple):
    """A config, trained with a seed, or two trained networks, tested."""

    config: str
    folder: str
    seed: int
    # folders of other runs, by config key or, if not trained, by network
    weights: Dict[str, str] = {}
    train: bool = True
    sr_benchmarks: bool = False

    @property
    def results(self) -> str:
        return osp.join(self.folder, 'results.json')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('table', choices=TABLES, metavar='TABLE')
    parser.add_argument(
        '--dataset',
        nargs='+',
        help=f'{", ".join(DATASETS)}, or any other: its SR4IR configs, with '
        "{} for x4, x8, x4_swinir and x8_swinir, e.g. 'my/sr4ir_{}.py' "
        "(default: the paper's)",
    )
    parser.add_argument(
        '--scales',
        nargs='+',
        help="with --dataset any, else some of the paper's (default: those)",
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        help="some of the table's rows, such as 'L -> T' (default: all)",
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[200])
    parser.add_argument(
        '--budget',
        type=float,
        default=1.0,
        help='fraction of each schedule, for a dry run (default: 1)',
    )
    parser.add_argument('--work-dir', default='work_dirs/benchmark')
    parser.add_argument('--gpus', type=int, default=1, help='GPUs of each run')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}
    )
    args = parser.parse_args()
    args.columns = list(TABLES[args.table]['paper'])
    args.noise = sorted({level for _, _, *n in args.columns for level in n})
    if args.dataset:
        if args.noise:
            parser.error(f'--dataset: table {args.table} has one only.')
        names = [setup_of(DATASETS.get(d, d)) for d in args.dataset]
        if len(set(names)) < len(names):
            parser.error(
                f'--dataset: two of one name, {" ".join(names)}: give each a '
                'command and a --work-dir of its own.'
            )
        scales = args.scales or sorted({scale for _, scale in args.columns})
        args.columns = list(product(args.dataset, scales))
    known = list(dict.fromkeys(scale for _, scale, *_ in args.columns))
    args.scales = choose(parser, '--scales', args.scales, known)
    args.columns = [c for c in args.columns if c[1] in args.scales]
    rows = list(TABLES[args.table]['rows'])
    args.rows = choose(parser, '--rows', args.rows, rows)
    return args


def choose(
    parser: argparse.ArgumentParser,
    option: str,
    wanted: Optional[List[str]],
    known: List[str],
) -> List[str]:
    for name in wanted or []:
        if name not in known:
            parser.error(f'{option}: {name!r} is none of {known}.')
    return wanted or known


def plan(row, pattern: str, scale: str, seed: int, root: str) -> List[Run]:
    """The run of a row, after those that it builds on. Empty if there is no
    config for it."""
    if isinstance(row, str):
        row = Row(row, {})
    before, weights = [], {}
    for key, template in row.weights.items():
        runs = plan(template, pattern, scale, seed, root)
        if not runs:
            return []
        before += runs
        weights[key] = runs[-1].folder
    config = locate(row.config, pattern, scale, osp.join(root, 'configs'))
    if config is None:
        return []
    name = osp.splitext(osp.basename(config))[0]
    if weights:
        parts = [osp.basename(osp.dirname(w)) for w in weights.values()]
        name = '_on_'.join([name, *parts])
    if row.sr_benchmarks:
        name += '_on_sr-benchmarks'
    folder = osp.join(root, name, f'seed_{seed}')
    run = Run(config, folder, seed, weights, row.train, row.sr_benchmarks)
    return [*before, run]


def make_config(run: Run, args: argparse.Namespace) -> Config:
    """The config of a run, in all detail."""
    cfg = Config.fromfile(run.config)
    options = args.cfg_options
    if cfg.model.sr_net is None:  # as in H -> T
        options = {k: v for k, v in options.items() if '.sr_net.' not in k}
    # `init_cfg=None` spares a download, not the weights of an earlier run.
    options = {
        option: value
        for option, value in options.items()
        if not any(key.startswith(f'{option}.') for key in run.weights)
    }
    cfg.merge_from_dict(options)
    shorten_by(cfg, args.budget)
    files = {
        key: find_latest_checkpoint(folder)
        for key, folder in run.weights.items()
    }
    if run.train:
        cfg.merge_from_dict(files)
    else:
        cfg.weights = files
    if args.noise:
        cfg.noise = args.noise
    if run.sr_benchmarks:
        cfg.setdefault('sr_benchmarks', 'data/sr_benchmarks')
    # The test at the end is enough.
    cfg.train_cfg.val_begin = 1 + max(
        cfg.train_cfg.get(unit, 0) for unit in ('max_epochs', 'max_iters')
    )
    cfg.merge_from_dict(dict(randomness=dict(seed=run.seed)))
    cfg.work_dir = run.folder
    cfg.num_gpus = args.gpus
    return cfg


def execute(run: Run, args: argparse.Namespace, lock: IO) -> bool:
    """Do a run, unless it is finished. Returns whether it now is.

    Raises:
        SystemExit: If the folder holds another run of that name.
    """
    for folder in run.weights.values():
        if not osp.isfile(osp.join(folder, 'results.json')):
            print(f'  left out, since {folder} failed', flush=True)
            return False
    path = f'{run.folder}.py'  # in it, the runner writes one of this name
    cfg = make_config(run, args)
    text = cfg.pretty_text
    trained = osp.join(run.folder, 'last_checkpoint')
    mmengine.mkdir_or_exist(run.folder)
    if osp.isfile(path) and any(map(osp.isfile, (run.results, trained))):
        with open(path) as file:
            if file.read() != text:
                raise SystemExit(
                    f'{run.folder} holds a run with other settings (budget, '
                    'options, config, GPUs): choose another --work-dir.'
                )
    else:
        with open(path, 'w') as file:
            file.write(text)
    if osp.isfile(run.results):
        return True
    command = [sys.executable, '-W', 'ignore']
    if args.gpus > 1:
        command += ['-m', 'torch.distributed.run', '--standalone']
        command += [f'--nproc_per_node={args.gpus}']
    command += [osp.join(HERE, 'train_and_test.py'), path]
    command += ['--work-dir', run.folder]
    if args.gpus > 1:
        command += ['--launcher', 'pytorch']
    log = osp.join(run.folder, 'output.log')
    with open(log, 'a') as file, subprocess.Popen(
        command,
        stdout=file,
        stderr=subprocess.STDOUT,
        pass_fds=[lock.fileno()],
    ) as process:
        try:
            process.wait()
        finally:  # not `kill`: torchrun takes its workers along
            process.terminate()
    if process.returncode:
        print(f'  failed, see {log}', flush=True)
    return process.returncode == 0


def acquire(folder: str) -> IO:
    """Lock a folder for this process and for a run that outlives it."""
    mmengine.mkdir_or_exist(folder)
    lock = open(osp.join(folder, '.lock'), 'w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(
            f'{folder}: another run_table.py, or a run that it left behind, '
            'is at work there: wait for it, or stop it.'
        ) from None
    return lock


def fill(args: argparse.Namespace, lock: IO) -> None:
    """Do the runs of a table, and write it after each."""
    cells, todo = {}, {}
    for column in args.columns:
        dataset, scale, *_ = column
        pattern = DATASETS.get(dataset, dataset)
        for row in args.rows:
            what = TABLES[args.table]['rows'][row]
            plans = [
                plan(what, pattern, scale, seed, args.work_dir)
                for seed in args.seeds
            ]
            cells[(*column, row)] = [runs[-1] for runs in plans if runs]
            todo.update({run.folder: run for runs in plans for run in runs})
    todo = list(todo.values())
    if not todo:
        raise SystemExit(
            f'No config found: --dataset {args.dataset}. Give the paths of '
            'SR4IR configs, see --help.'
        )
    failed, seconds = 0, []
    for i, run in enumerate(todo, 1):
        done = osp.isfile(run.results)
        print(f'[{i}/{len(todo)}] {run.folder}', flush=True)
        start = time.time()
        ok = execute(run, args, lock)
        failed += not ok
        if not done:
            seconds.append(time.time() - start)
            left = mean(seconds) * sum(
                not osp.isfile(other.results) for other in todo[i:]
            )
            print(
                f'  {timedelta(seconds=int(seconds[-1]))}, about '
                f'{timedelta(seconds=int(left))} left',
                flush=True,
            )
        write_tables(args.table, cells, args.work_dir)
    print(f'{osp.join(args.work_dir, args.table)}.md, .csv')
    if failed:
        raise SystemExit(f'{failed} of {len(todo)} runs failed.')


def main() -> None:
    args = parse_args()
    # as Ctrl+C: take the run that is under way along
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    with acquire(args.work_dir) as lock:
        fill(args, lock)


if __name__ == '__main__':
    main()
