"""Tables with our figures and the paper's."""

import csv
import os.path as osp
from itertools import product
from math import isfinite
from statistics import mean, stdev
from typing import Dict, List, Optional, Sequence

import mmengine
from matplotlib.figure import Figure
from paper_tables import TABLES

from sr4ir_mm.evaluation.metrics import TASK_METRICS


def read_figure(run, metric: str, *noise: float) -> Optional[float]:
    """A result of a run, at a level of noise if there are some; None if it
    has none."""
    if not osp.isfile(run.results):
        return None
    results = mmengine.load(run.results)['metrics']
    for level in noise:
        results = results[f'{level:g}']
    if metric != 'task':
        return results.get(f'sr/{metric}')
    if osp.basename(run.config).startswith('sr_'):
        return None  # its task network is as random as at the start
    found = [k for k in TASK_METRICS if k in results]
    return results[found[0]] * TASK_METRICS[found[0]] if found else None


def write_tables(name: str, cells: Dict[tuple, list], folder: str) -> None:
    """Write what is known so far to ``folder/name.md`` and ``.csv``, and to
    ``.png`` if there are levels of noise.

    Args:
        name (str): Of the table.
        cells (dict): The runs of each data set, scale, level of noise (if
            there are some) and row: one per seed.
        folder (str): Where to.
    """
    table = TABLES[name]
    metrics = table['metrics']
    records = []
    lines = [
        f'# {name}: {table["source"]}',
        '',
        'task: mIoU, mAP or top-1 accuracy in %. Mean ± std over seeds.',
    ]
    for (*column, row), runs in cells.items():
        dataset, scale, *noise = column
        title = f'## {dataset}, {scale}'
        for level in noise:
            title += f', noise of variance {level:g}'
        if title not in lines:
            head = [name for metric in metrics for name in (metric, 'paper')]
            rule = ['---'] * (1 + len(head))
            lines += ['', title, '', markdown(['', *head]), markdown(rule)]
        paper = table['paper'].get(tuple(column), {}).get(row)
        line = [row]
        for i, metric in enumerate(metrics):
            values = [read_figure(run, metric, *noise) for run in runs]
            values = [value for value in values if value is not None]
            record = dict(
                dataset=dataset,
                scale=scale,
                noise=noise[0] if noise else None,
                row=row,
                metric=metric,
                paper=paper[i] if paper else None,
                mean=mean(values) if values else None,
                std=spread(values),
                seeds=len(values),
            )
            records.append(record)
            line += markdown_figures(record)
        lines.append(markdown(line))
    path = osp.join(folder, name)
    with open(f'{path}.md', 'w') as file:
        file.write('\n'.join(lines) + '\n')
    with open(f'{path}.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    if records[0]['noise'] is not None:
        draw_over_noise(records).savefig(f'{path}.png', dpi=150)


def draw_over_noise(records: List[dict]) -> Figure:
    """Mean and standard deviation over the noise: a row of axes for each
    metric, a column for each scale, a curve for each row of the table."""
    metrics, scales, rows, levels = (
        list(dict.fromkeys(record[key] for record in records))
        for key in ('metric', 'scale', 'row', 'noise')
    )
    figure = Figure(
        figsize=(4.5 * len(scales), 3.2 * len(metrics)), layout='constrained'
    )
    axes = figure.subplots(
        len(metrics), len(scales), sharex=True, squeeze=False
    )
    for ax, (metric, scale) in zip(axes.flat, product(metrics, scales)):
        for color, row in enumerate(rows):
            curve = [
                (record['noise'], record['mean'], record['std'] or 0)
                for record in records
                if record['mean'] is not None
                and (metric, scale, row)
                == (record['metric'], record['scale'], record['row'])
            ]
            if curve:
                ax.errorbar(
                    *zip(*curve),
                    marker='.',
                    capsize=2,
                    color=f'C{color}',
                    label=row,
                )
                ax.legend(fontsize=8)
        ax.set(title=scale, xlabel='noise variance', ylabel=metric)
        ax.grid(alpha=0.3)
    # logarithmic, but for 0, which has its place left of all others
    least = min(level for level in levels if level)
    axes[0, 0].set_xscale('symlog', linthresh=least, linscale=0.5)
    return figure


def spread(values: Sequence[float]) -> Optional[float]:
    """Standard deviation; None of a single value, or of H -> T's PSNR."""
    if len(values) < 2 or not all(map(isfinite, values)):
        return None
    return stdev(values)


def markdown(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def markdown_figures(record: dict) -> List[str]:
    """Ours and the paper's."""
    digits = 3 if record['metric'].endswith(('LPIPS', 'SSIM')) else 2
    ours, std, paper = (
        '' if record[key] is None else f'{record[key]:.{digits}f}'
        for key in ('mean', 'std', 'paper')
    )
    return [f'{ours} ± {std}' if std else ours, paper]
