"""Run a table of the paper: ``python tools/benchmark/run_table.py TABLE``.

Trains and tests what the rows of the table stand for, one run after the other,
and writes TABLE.md and TABLE.csv, with the paper's figures beside ours. It
skips what is finished. When it is killed, the same command goes on with the
run that was under way, from its latest checkpoint.
"""

import argparse
import csv
import os.path as osp
import subprocess
import sys
import time
from datetime import timedelta
from statistics import mean, stdev
from typing import Dict, List, NamedTuple, Optional, Sequence

import mmengine
from derive_config import locate, shrink
from mmengine.config import Config, DictAction
from mmengine.runner import find_latest_checkpoint
from paper_tables import DATASETS, TABLES, Row

HERE = osp.dirname(osp.abspath(__file__))
# What the toolboxes call the metric of a task, and its factor to percent.
TASK_METRICS = {'mIoU': 1, 'coco/bbox_mAP': 100, 'accuracy/top1': 1}


class Run(NamedTuple):
    """A config, trained with a seed, or two trained networks, tested."""

    config: str
    folder: str
    seed: int
    # folders of other runs, by config key or, if not trained, by network
    weights: Dict[str, str] = {}
    train: bool = True

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
    return parser.parse_args()


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
    folder = osp.join(root, name, f'seed_{seed}')
    return [*before, Run(config, folder, seed, weights, row.train)]


def make_config(run: Run, args: argparse.Namespace) -> Config:
    """The config of a run, in all detail."""
    cfg = Config.fromfile(run.config)
    cfg.merge_from_dict(args.cfg_options)
    shrink(cfg, args.budget)
    files = {
        key: find_latest_checkpoint(folder)
        for key, folder in run.weights.items()
    }
    if run.train:
        cfg.merge_from_dict(files)
    else:
        cfg.weights = files
    # The test at the end is enough.
    cfg.train_cfg.val_begin = 1 + max(
        cfg.train_cfg.get(unit, 0) for unit in ('max_epochs', 'max_iters')
    )
    cfg.merge_from_dict(dict(randomness=dict(seed=run.seed)))
    cfg.work_dir = run.folder
    cfg.resume = run.train  # from the latest checkpoint, if there is one
    return cfg


def execute(run: Run, args: argparse.Namespace) -> bool:
    """Do a run, unless it is finished. Returns whether it now is.

    Raises:
        SystemExit: If the folder holds another run of that name.
    """
    if not all(map(find_latest_checkpoint, run.weights.values())):
        return False
    path = osp.join(run.folder, 'config.py')
    cfg = make_config(run, args)
    text = cfg.pretty_text
    if osp.isfile(path):
        with open(path) as file:
            if file.read() != text:
                raise SystemExit(
                    f'{run.folder} holds a run with other settings (budget, '
                    'options, config): choose another --work-dir.'
                )
    if osp.isfile(run.results):
        return True
    mmengine.mkdir_or_exist(run.folder)
    with open(path, 'w') as file:
        file.write(text)
    command = [sys.executable, '-W', 'ignore']
    if args.gpus > 1:
        command += ['-m', 'torch.distributed.run', '--standalone']
        command += [f'--nproc_per_node={args.gpus}']
    command += [osp.join(HERE, 'train_and_test.py'), path]
    command += ['--work-dir', run.folder]
    if args.gpus > 1:
        command += ['--launcher', 'pytorch']
    log = osp.join(run.folder, 'output.log')
    with open(log, 'a') as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        print(f'  failed, see {log}', flush=True)
    return done.returncode == 0


def read_figure(run: Run, metric: str) -> Optional[float]:
    """A result of a run; None if it has none."""
    if not osp.isfile(run.results):
        return None
    results = mmengine.load(run.results)['metrics']
    if metric != 'task':
        return results.get(f'sr/{metric}')
    if osp.basename(run.config).startswith('sr_'):
        return None  # its task network is as random as at the start
    found = [k for k in TASK_METRICS if k in results]
    return results[found[0]] * TASK_METRICS[found[0]] if found else None


def write_tables(cells: Dict[tuple, List[Run]], args) -> None:
    """Write what is known so far as Markdown and as CSV."""
    table = TABLES[args.table]
    metrics = table['metrics']
    records = []
    lines = [
        f'# {args.table}: {table["source"]}',
        '',
        'task: mIoU, mAP or top-1 accuracy in %.'
        f' Mean ± std over {len(args.seeds)} seeds.',
    ]
    for (dataset, scale, row), runs in cells.items():
        title = f'## {dataset}, {scale}'
        if title not in lines:
            head = [name for metric in metrics for name in (metric, 'paper')]
            rule = ['---'] * (1 + len(head))
            lines += ['', title, '', markdown(['', *head]), markdown(rule)]
        paper = table['paper'].get((dataset, scale), {}).get(row)
        line = [row]
        for i, metric in enumerate(metrics):
            values = [read_figure(run, metric) for run in runs]
            values = [value for value in values if value is not None]
            record = dict(
                dataset=dataset,
                scale=scale,
                row=row,
                metric=metric,
                paper=paper[i] if paper else None,
                mean=mean(values) if values else None,
                std=stdev(values) if len(values) > 1 else None,
                seeds=len(values),
            )
            records.append(record)
            line += markdown_figures(record)
        lines.append(markdown(line))
    path = osp.join(args.work_dir, args.table)
    with open(f'{path}.md', 'w') as file:
        file.write('\n'.join(lines) + '\n')
    with open(f'{path}.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)


def markdown(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def markdown_figures(record: dict) -> List[str]:
    """Ours and the paper's."""
    digits = 3 if record['metric'] == 'LPIPS' else 2
    ours, std, paper = (
        '' if record[key] is None else f'{record[key]:.{digits}f}'
        for key in ('mean', 'std', 'paper')
    )
    return [f'{ours} ± {std}' if std else ours, paper]


def main() -> None:
    args = parse_args()
    columns = TABLES[args.table]['paper']
    if args.dataset:
        scales = sorted({scale for _, scale in columns})
        columns = [(name, scale) for name in args.dataset for scale in scales]
    cells, todo = {}, {}
    for dataset, scale in columns:
        pattern = DATASETS.get(dataset, dataset)
        for row, what in TABLES[args.table]['rows'].items():
            plans = [
                plan(what, pattern, scale, seed, args.work_dir)
                for seed in args.seeds
            ]
            cells[dataset, scale, row] = [runs[-1] for runs in plans if runs]
            todo.update({run.folder: run for runs in plans for run in runs})
    todo = list(todo.values())
    failed, seconds = 0, []
    for i, run in enumerate(todo, 1):
        done = osp.isfile(run.results)
        print(f'[{i}/{len(todo)}] {run.folder}', flush=True)
        start = time.time()
        ok = execute(run, args)
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
        write_tables(cells, args)
    print(f'{osp.join(args.work_dir, args.table)}.md, .csv')
    if failed:
        raise SystemExit(f'{failed} of {len(todo)} runs failed.')


if __name__ == '__main__':
    main()
