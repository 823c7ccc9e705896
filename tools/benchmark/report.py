"""Tables with our figures and the paper's."""

import csv
import os.path as osp
from statistics import mean, stdev
from typing import Dict, List, Optional, Sequence

import mmengine
from paper_tables import TABLES

# What the toolboxes call the metric of a task, and its factor to percent.
TASK_METRICS = {'mIoU': 1, 'coco/bbox_mAP': 100, 'accuracy/top1': 1}


def read_figure(run, metric: str) -> Optional[float]:
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


def write_tables(name: str, cells: Dict[tuple, list], folder: str) -> None:
    """Write what is known so far to ``folder/name.md`` and ``.csv``.

    Args:
        name (str): Of the table.
        cells (dict): The runs of each data set, scale and row: one per seed.
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
    path = osp.join(folder, name)
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
