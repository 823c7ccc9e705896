"""What runs of ``run_table.py`` came to: ``python
.dev_scripts/evidence/collect_runs.py WORK_DIR ... --out docs/en/results``.

Adds a line for every finished run to ``runs.csv``, in place of older lines of
the same run, so that folders need not stay, and makes, for each data set and
scale, a table (mean ± standard deviation over seeds) and, of three methods or
more, a plot of the task metric against PSNR. With ``--page``, tables also go
into a page, between ``<!-- table NAME -->`` and ``<!-- end -->``.
"""

import argparse
import csv
import os.path as osp
import re
from glob import glob
from statistics import mean, stdev
from typing import Dict, List, Optional, Tuple

import mmengine
from matplotlib import colormaps
from matplotlib.figure import Figure
from mmengine.config import Config
from scipy.stats import spearmanr, ttest_rel

from sr4ir_mm.models.views import in_one_batch
from sr4ir_mm.utils.safe_config import read_data

# The toolboxes' metrics, the name in our tables, and the factor to percent.
TASK_METRICS = {
    'mIoU': ('mIoU', 1),
    'coco/bbox_mAP': ('mAP', 100),
    'accuracy/top1': ('top-1', 1),
}
IMAGE_METRICS = ('PSNR', 'SSIM', 'LPIPS', 'TFD')
LOWER_IS_BETTER = ('LPIPS', 'TFD')
# of runs.csv
COLUMNS = (
    *('setup', 'scale', 'method', 'batch_norm', 'seed', 'metric', 'task'),
    *(*IMAGE_METRICS, 'sr_updates', 'task_updates', 'seconds', 'work_dir'),
)
# Prefixes of the configs' names, in the order of the tables.
METHODS = {
    'h2t': 'H -> T',
    'h2t-scratch': 'H -> T, random weights',
    'l2t': 'L -> T',
    'sr': 'S',
    'sr+h2t': 'S, T of H -> T',
    't2s-2nd': 'T -> S, second stage',
    't2s-tdp': 'T -> S, second stage by TDP',
    't2s-balanced-tdp': 'T -> S, second stage by TDP balanced',
    's2t': 'S -> T',
    't2s': 'T -> S',
    'joint': 'S + T',
    'sr4ir': 'SR4IR',
    'without-tdp': 'SR4IR without TDP',
    'balanced-tdp': 'SR4IR, TDP balanced',
    'one-batch': 'SR4IR, one batch',
    'one-batch-without-tdp': 'SR4IR, one batch, without TDP',
    'one-batch-balanced-tdp': 'SR4IR, one batch, TDP balanced',
    'lh2t': 'L + H -> T, one batch',
    'l2t-fm': 'L -> T, FM',
    'sr4ir-2026': 'SR4IR of 2026',
    'hlf': 'HLF',
    'hlf-without-teacher': 'HLF without teacher',
    'hlf-without-fm': 'HLF without FM',
    'hlf-without-half': 'HLF without half and half',
    'hlf-and-pixel': 'HLF and pixels',
    'hlf-balanced': 'HLF and pixels, balanced',
    'perceptual-fixed': 'SR4IR, TDP by a fixed T',
    'perceptual-joint': 'SR4IR, joint',
    'views-sr': 'SR4IR, views SR',
    'views-hr': 'SR4IR, views HR',
    'views-sr-hr': 'SR4IR, views SR + HR',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('work_dirs', nargs='+')
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument('--page', help='Markdown file to put the tables into')
    return parser.parse_args()


# ----------------------------------------------------------------------- runs


def read_run(path: str) -> dict:
    """A finished run, from its ``results.json``."""
    folder, seed = osp.split(osp.dirname(path))
    config = f'{osp.dirname(path)}.py'
    with open(config, encoding='utf-8') as file:
        cfg = Config(read_data(file.read(), config))
    results = mmengine.load(path)
    metrics = results['metrics']
    # a run on the networks of others is called `CONFIG_on_OTHER`
    name = osp.basename(folder).split('_on_')[0]
    method, setup, scale = re.fullmatch(
        r'([^_]+)_(.+?)(?:_(x\d+(?:_\w+)?))?', name
    ).groups()
    if 'weights' in cfg:  # networks of other runs, tested together
        method = '+'.join(map(method_of, cfg.weights.values()))
        cfg.model.phases = []
    task, factor = next(v for k, v in TASK_METRICS.items() if k in metrics)
    value = metrics[next(k for k in TASK_METRICS if k in metrics)] * factor
    return dict(
        setup=setup,
        scale=scale or '',
        method=method,
        batch_norm=batch_norm(cfg),
        seed=int(seed[5:]),
        metric=task,
        task='' if method == 'sr' else round(value, 4),
        **{
            name: round(metrics[f'sr/{name}'], 4)
            if f'sr/{name}' in metrics
            else ''
            for name in IMAGE_METRICS
        },
        sr_updates=updates(cfg, 'sr_net'),
        task_updates=updates(cfg, 'task_model'),
        seconds=round(results['seconds']),
        work_dir=osp.basename(osp.dirname(folder)),
    )


def method_of(checkpoint: str) -> str:
    folder = osp.dirname(osp.dirname(checkpoint))
    return osp.basename(folder).split('_')[0]


def batch_norm(cfg: Config) -> str:
    """Which statistics of BatchNorm the task network was tested with."""
    hooks = [hook['type'] for hook in cfg.get('custom_hooks') or []]
    one_batch = any(
        in_one_batch(view)
        for phase in cfg.model.phases
        for loss in phase.losses
        for view in loss.get('views', ())
    )
    precise = 'sr4ir_mm.PreciseBNHook' in hooks and not one_batch
    return 'precise' if precise else 'running'


def updates(cfg: Config, network: str) -> int:
    """How often a network is updated in a training."""
    loop = cfg.train_cfg
    length = loop.get('max_iters') or loop.max_epochs
    return sum(
        round(length * (phase.get('end', 1) - phase.get('begin', 0)))
        for phase in cfg.model.phases
        if network in phase.trains
    )


def read_runs(work_dirs: List[str], record: str) -> List[dict]:
    """The runs of a CSV file and of folders, of which the latter are newer."""
    runs = []
    if osp.isfile(record):
        with open(record, newline='') as file:
            runs = [parse(line) for line in csv.DictReader(file)]
    runs += [
        read_run(path)
        for work_dir in work_dirs
        for path in glob(osp.join(work_dir, '*', 'seed_*', 'results.json'))
    ]
    names = ('setup', 'scale', 'method', 'batch_norm', 'seed', 'work_dir')

    def key(run: dict) -> tuple:
        return run['setup'], run['scale'], order_of(row_of(run)), run['seed']

    latest = {tuple(run[name] for name in names): run for run in runs}
    return sorted(latest.values(), key=key)


def parse(line: Dict[str, str]) -> dict:
    """A line of the CSV file, as :func:`read_run` makes it."""
    counts = ('seed', 'sr_updates', 'task_updates', 'seconds')
    figures = ('task', *IMAGE_METRICS)
    line = {**dict.fromkeys(IMAGE_METRICS, ''), **line}  # of before TFD
    return {
        name: int(value)
        if name in counts
        else float(value)
        if name in figures and value
        else value
        for name, value in line.items()
    }


# --------------------------------------------------------------------- tables


def columns(runs: List[dict]) -> Dict[str, Dict[tuple, List[dict]]]:
    """Runs by data set and scale, then by what a row of the table is. The
    oracle, which knows no scale, is in all tables of its data set. Runs with
    other SR networks, such as x4_span, are compared by `sr_networks.py`."""
    tables = {}
    for run in runs:
        if run['scale'] and '_' not in run['scale']:
            tables.setdefault((run['setup'], run['scale']), {})
    for (setup, scale), rows in tables.items():
        for run in runs:
            if run['setup'] == setup and run['scale'] in ('', scale):
                rows.setdefault(row_of(run), []).append(run)
    return {
        f'{setup}_{scale}': {
            row: rows[row] for row in sorted(rows, key=order_of)
        }
        for (setup, scale), rows in tables.items()
    }


def row_of(run: dict) -> tuple:
    """What the seeds of a row have in common."""
    names = ('method', 'batch_norm', 'sr_updates', 'task_updates')
    return tuple(run[name] for name in names)


def order_of(row: tuple) -> tuple:
    order = list(METHODS)
    known = order.index(row[0]) if row[0] in order else len(order)
    return known, *row


def summary(runs: List[dict], key: str, digits: int) -> str:
    values = [run[key] for run in runs if run[key] != '']
    if not values:
        return ''
    if values[0] == float('inf'):
        return 'inf'
    text = f'{mean(values):.{digits}f}'
    if len(values) > 1:
        text += f' ± {stdev(values):.{digits}f}'
    return text


def interval(
    runs: List[dict], others: List[dict]
) -> Optional[Tuple[float, float]]:
    """Of the difference of the task metric, seed by seed: 95 %, of three seeds
    or more."""
    scores = {run['seed']: run['task'] for run in others}
    pairs = [
        (run['task'], scores[run['seed']])
        for run in runs
        if run['task'] != '' and scores.get(run['seed'], '') != ''
    ]
    if len(pairs) < 3 or runs is others:
        return None
    return tuple(ttest_rel(*zip(*pairs)).confidence_interval())


def difference(runs: List[dict], others: List[dict]) -> str:
    """Mean and :func:`interval` in words, bold without a zero in it."""
    found = interval(runs, others)
    if found is None:
        return ''
    low, high = found
    text = f'{(low + high) / 2:+.1f} ({low:+.1f} to {high:+.1f})'
    return f'**{text}**' if low > 0 or high < 0 else text


def write_table(methods: Dict[tuple, List[dict]]) -> str:
    """A table in Markdown. Differences are to S -> T of the same number of
    updates of T."""
    metric = next(iter(methods.values()))[0]['metric']
    head = [
        '',
        'BatchNorm',
        f'{metric}, %',
        'beside S -> T',
        'PSNR, dB',
        'SSIM',
        'LPIPS',
        'TFD',
        'updates S / T',
        's',
        'seeds',
    ]
    rows = [head, ['---'] * len(head)]
    for row, runs in methods.items():
        method, batch_norm, sr_updates, task_updates = row
        references = [
            others
            for (name, *_, number), others in methods.items()
            if name == 's2t' and number == task_updates
        ]
        rows.append(
            [
                METHODS.get(method, method),
                batch_norm,
                summary(runs, 'task', 2),
                difference(runs, references[0]) if references else '',
                summary(runs, 'PSNR', 2),
                summary(runs, 'SSIM', 3),
                summary(runs, 'LPIPS', 3),
                summary(runs, 'TFD', 4),
                f'{sr_updates} / {task_updates}',
                f'{mean(run["seconds"] for run in runs):.0f}',
                str(len(runs)),
            ]
        )
    filled = [i for i in range(len(head)) if any(row[i] for row in rows[2:])]
    rows = [[row[i] for i in filled] for row in rows]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def write_ranks(tables: Dict[str, Dict[tuple, List[dict]]]) -> str:
    """How well image metrics rank the methods of each table: Spearman's rank
    correlation of their means with those of the task metric, in Markdown. 1:
    the same order; the oracle, which has HR itself, does not count."""
    rows = [['', *IMAGE_METRICS, 'rows'], ['---'] * (2 + len(IMAGE_METRICS))]
    for name, methods in tables.items():
        means = [
            {
                key: mean(values)
                for key in ('task', *IMAGE_METRICS)
                if (values := [r[key] for r in runs if r[key] != ''])
            }
            for runs in methods.values()
            if runs[0]['scale']
        ]
        means = [row for row in means if 'task' in row]
        cells = []
        for key in IMAGE_METRICS:
            pairs = [(row[key], row['task']) for row in means if key in row]
            cell = ''
            if len(pairs) > 3:
                sign = -1 if key in LOWER_IS_BETTER else 1
                cell = f'{sign * spearmanr(pairs).statistic:+.2f}'
            cells.append(cell)
        if any(cells):
            rows.append([name, *cells, str(len(means))])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def by_degradation(tables: dict) -> Dict[str, Dict[str, List[dict]]]:
    """Runs of the table `hlf` by data set and degradation, then by method, of
    its shortest training."""
    found = {}
    for name, methods in tables.items():
        head, among, setup = name.partition('-from-hr_')
        if among:
            by_method = found.setdefault(setup.rpartition('_')[0], {})
            for row, runs in sorted(methods.items(), key=lambda x: x[0][2:]):
                by_method.setdefault(row[0], runs)
    return found


def write_degradations(found: Dict[str, Dict[str, List[dict]]]) -> str:
    """Methods by data set and degradation, in Markdown: the task metric, and
    the difference to S -> T."""
    methods = sorted({m for rows in found.values() for m in rows})
    methods.sort(key=list(METHODS).index)
    rows = [['', *found], ['---'] * (1 + len(found))]
    for method in methods:
        cells = []
        for by_method in found.values():
            runs, reference = by_method.get(method), by_method.get('s2t')
            parts = []
            if runs:
                of = f' [{len(runs)}]'
                parts = [summary(runs, 'task', 1) + of]
                if reference:
                    parts += filter(None, [difference(runs, reference)])
            cells.append('; '.join(parts))
        rows.append([METHODS[method], *cells])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def draw_degradations(found: Dict[str, Dict[str, List[dict]]]) -> Figure:
    """The difference to S -> T of each method, with its interval."""
    figure = Figure(figsize=(9, 4), layout='constrained')
    ax = figure.subplots()
    methods = [m for m in METHODS if any(m in rows for rows in found.values())]
    methods.remove('s2t')
    for i, method in enumerate(methods):
        points = []
        for column, by_method in enumerate(found.values()):
            if method in by_method and 's2t' in by_method:
                span = interval(by_method[method], by_method['s2t'])
                if span is not None:
                    x = column + (i - len(methods) / 2) * 0.08
                    points.append((x, sum(span) / 2, (span[1] - span[0]) / 2))
        if points:
            x, y, error = zip(*points)
            label, color = METHODS[method], colormaps['tab10'](i % 10)
            ax.errorbar(x, y, error, fmt='o', color=color, label=label)
    ax.axhline(0, color='black', linewidth=0.8)
    ax.set(ylabel='beside S -> T, points, 95 %')
    ax.set_xlim(-0.6, len(found) - 0.4)
    ax.set_xticks(range(len(found)), found, rotation=20, ha='right')
    ax.grid(alpha=0.3, axis='y')
    figure.legend(loc='outside right center', fontsize=8)
    return figure


def draw(title: str, methods: Dict[tuple, List[dict]]) -> Figure:
    """The task metric against PSNR: a point for every run, a cross for the
    mean of a method, of its shortest training, with the BatchNorm statistics
    that serve it better; the oracle, without PSNR, is a line."""
    best = {}
    for (method, _, *updates), runs in methods.items():
        scores = [run['task'] for run in runs if run['task'] != '']
        if not scores:
            continue
        rank = -sum(updates), mean(scores)
        if method not in best or rank > best[method][0]:
            best[method] = rank, runs
    figure = Figure(figsize=(8, 4), layout='constrained')
    ax = figure.subplots()
    for i, (method, (_, runs)) in enumerate(best.items()):
        points = [(r['PSNR'], r['task']) for r in runs if r['task'] != '']
        x, y = zip(*points)
        color = colormaps['tab20'](i)
        style = dict(color=color, label=METHODS.get(method, method))
        if x[0] in ('', float('inf')):
            ax.axhline(mean(y), linestyle='--', **style)
            continue
        ax.plot(x, y, 'o', alpha=0.4, color=color)
        ax.plot(mean(x), mean(y), 'P', markersize=10, **style)
    metric = next(iter(methods.values()))[0]['metric']
    ax.set(title=title, xlabel='PSNR, dB', ylabel=f'{metric}, %')
    ax.grid(alpha=0.3)
    figure.legend(loc='outside right center', fontsize=8)
    return figure


def fill_page(path: str, tables: Dict[str, str]) -> None:
    """Put tables into a page, in place of those that are there."""
    with open(path) as file:
        text = file.read()
    for name, table in tables.items():
        text = re.sub(
            rf'(<!-- table {re.escape(name)} -->\n).*?(<!-- end -->)',
            lambda match, table=table: f'{match[1]}{table}\n{match[2]}',
            text,
            flags=re.S,
        )
    with open(path, 'w') as file:
        file.write(text)


def main() -> None:
    args = parse_args()
    record = osp.join(args.out, 'runs.csv')
    runs = read_runs(args.work_dirs, record)
    if not runs:
        raise SystemExit(f'No finished run in {" ".join(args.work_dirs)}.')
    mmengine.mkdir_or_exist(args.out)
    with open(record, 'w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(runs)
    tables, by_table = {}, columns(runs)
    for name, methods in by_table.items():
        tables[name] = write_table(methods)
        print(f'\n{name}\n\n{tables[name]}')
        if len(methods) > 2:
            path = osp.join(args.out, f'{name}.png')
            draw(name, methods).savefig(path, dpi=120)
    tables['ranks'] = write_ranks(by_table)
    found = by_degradation(by_table)
    if found:
        tables['degradations'] = write_degradations(found)
        path = osp.join(args.out, 'degradations.png')
        draw_degradations(found).savefig(path, dpi=120)
    for name in ('ranks', 'degradations'):
        print(f'\n{name}\n\n{tables.get(name, "")}')
    if args.page:
        fill_page(args.page, tables)


if __name__ == '__main__':
    main()
