"""Which SR network for a task: what it gains, and what a prediction takes.

``python .dev_scripts/evidence/sr_networks.py --out docs/en/results --page
docs/en/results.md`` times the prediction with each SR network of the runs in
``runs.csv`` (:mod:`evidence.sh` with ``SCALES=x4_span`` and the like), unless
``sr_networks.csv`` has it already, and makes a table and a plot of each data
set: the task metric against the milliseconds of a whole prediction. Of the
paper's networks on PASCAL VOC there are no runs, but the times.
"""

import argparse
import csv
import os.path as osp
from datetime import date
from statistics import mean, stdev
from time import perf_counter
from typing import Dict, List, NamedTuple

import mmengine
import numpy as np
import torch
from collect_runs import fill_page, read_runs
from derive_config import with_sr_net
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import init_default_scope
from paper_tables import CONFIGS

from sr4ir_mm.apis.deployment import make_deployable
from sr4ir_mm.registry import MODELS

METHOD = 'one-batch-without-tdp'
OTHERS = {
    'span': 'SPAN',
    'compact': 'Compact',
    'compact_small': 'Compact, small',
    'swinir_small': 'SwinIR, small',
}
SMALL = {'': 'EDSR, small', **OTHERS}
PAPERS = {'': 'EDSR-baseline', 'edsr_small': 'EDSR, small', **OTHERS}
# Height and width of the LR images of the test part, and the SR networks.
SETUPS = {
    'lite0_cars28': ((27, 36), SMALL),
    'deeplabv3-lite0_camvid-half': ((45, 60), SMALL),
    'deeplabv3_voc': ((120, 120), PAPERS),
}
LARGE = 120, 120
THREADS, REPEATS = 2, 21


class Cost(NamedTuple):
    """Milliseconds of a prediction, of the two networks."""

    setup: str
    sr_net: str
    parameters: int
    float32: float
    bfloat16: float
    large_float32: float
    large_bfloat16: float
    date: str


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', required=True, help='where runs.csv is')
    parser.add_argument('--page', help='page to put the tables into')
    return parser.parse_args()


def build(setup: str, sr_net: str, out: str):
    config = osp.join(CONFIGS, f'sr4ir_{setup}_x4.py')
    if sr_net:
        config = with_sr_net(config, f'{sr_net}_x4', out)
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    cfg.model.data_preprocessor = cfg.get('data_preprocessor')
    model = MODELS.build(cfg.model)
    return make_deployable(model.eval())


@torch.no_grad()
def measure(setup: str, out: str) -> List[Cost]:
    """All networks of a data set, in turn; medians."""
    torch.set_num_threads(THREADS)
    own_size, networks = SETUPS[setup]
    models = {net: build(setup, net, out) for net in networks}
    times: Dict[tuple, List[float]] = {}
    for _ in range(REPEATS + 2):
        for net, model in models.items():
            for size in {own_size, LARGE}:
                images = torch.randint(0, 256, (1, 3, *size)).byte()
                for half in (False, True):
                    start = perf_counter()
                    with torch.autocast('cpu', torch.bfloat16, enabled=half):
                        model(images)
                    spent = 1000 * (perf_counter() - start)
                    times.setdefault((net, size, half), []).append(spent)
    middle = {key: float(np.median(each[2:])) for key, each in times.items()}
    return [
        Cost(
            setup,
            net,
            sum(p.numel() for p in model.model.sr_net.parameters()),
            *(
                round(middle[net, size, half], 1)
                for size in (own_size, LARGE)
                for half in (False, True)
            ),
            str(date.today()),
        )
        for net, model in models.items()
    ]


def read_costs(path: str) -> List[Cost]:
    if not osp.isfile(path):
        return []
    with open(path, newline='') as file:
        return [
            Cost(
                row['setup'],
                row['sr_net'],
                int(row['parameters']),
                *(float(row[key]) for key in Cost._fields[3:7]),
                row['date'],
            )
            for row in csv.DictReader(file)
        ]


def write_table(costs: List[Cost], scores: Dict[str, list], name: str) -> str:
    first, networks = costs[0], SETUPS[costs[0].setup][1]
    columns = {
        'SR network, x4': lambda cost: networks[cost.sr_net],
        'parameters': lambda cost: f'{cost.parameters:,}',
    }
    if scores:
        columns[f'{name}, %'] = lambda cost: spread(
            scores.get(cost.sr_net, [])
        )
        columns['seeds'] = lambda cost: len(scores.get(cost.sr_net, []))
        columns['ms'] = lambda cost: f'{cost.float32:.1f}'
        columns['of EDSR'] = lambda cost: f'{cost.float32 / first.float32:.2f}'
        columns['ms, bfloat16'] = lambda cost: f'{cost.bfloat16:.1f}'
    large, half = 'LR 120x120: ms', 'bfloat16'
    columns[large] = lambda cost: f'{cost.large_float32:.0f}'
    if not scores:
        columns['of EDSR'] = lambda cost: (
            f'{cost.large_float32 / first.large_float32:.2f}'
        )
    columns[half] = lambda cost: f'{cost.large_bfloat16:.0f}'
    columns['of EDSR in float32'] = lambda cost: (
        f'{cost.large_bfloat16 / first.large_float32:.2f}'
    )
    rows = [list(columns), ['---'] * len(columns)]
    rows += [[str(cell(cost)) for cell in columns.values()] for cost in costs]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def spread(runs: List[float]) -> str:
    if len(runs) < 2:
        return f'{runs[0]:.1f}' if runs else ''
    return f'{mean(runs):.1f} ± {stdev(runs):.1f}'


def draw(costs: List[Cost], scores: Dict[str, list], name: str) -> Figure:
    figure = Figure(figsize=(6, 4), dpi=120, layout='constrained')
    axes = figure.subplots()
    for number, cost in enumerate(costs):
        runs = scores.get(cost.sr_net)
        if not runs:
            continue
        color = f'C{number}'
        axes.plot(
            [cost.float32] * len(runs), runs, '.', color=color, alpha=0.5
        )
        axes.plot(cost.float32, mean(runs), 'o', color=color)
        axes.annotate(
            SETUPS[cost.setup][1][cost.sr_net],
            (cost.float32, mean(runs)),
            xytext=(6, 6),
            textcoords='offset points',
            fontsize=9,
        )
    axes.set_xlabel('milliseconds of a prediction, both networks')
    axes.set_ylabel(f'{name}, %')
    axes.margins(x=0.2)
    axes.grid(alpha=0.3)
    return figure


def main() -> None:
    args = parse_args()
    path = osp.join(args.out, 'sr_networks.csv')
    costs = read_costs(path)
    runs = read_runs([], osp.join(args.out, 'runs.csv'))
    for setup in SETUPS:
        if not any(cost.setup == setup for cost in costs):
            costs += measure(setup, osp.join('work_dirs', 'sr_networks'))
            with open(path, 'w', newline='') as file:
                writer = csv.writer(file, lineterminator='\n')
                writer.writerows([Cost._fields, *costs])
        scores: Dict[str, list] = {}
        metric = ''
        for run in runs:
            factor, _, net = run['scale'].partition('_')
            if (run['setup'], run['method'], factor) == (setup, METHOD, 'x4'):
                scores.setdefault(net, []).append(run['task'])
                metric = run['metric']
        of_set = [cost for cost in costs if cost.setup == setup]
        table = write_table(of_set, scores, metric)
        print(f'{setup}\n{table}')
        name = f'sr-networks_{setup}'
        if scores:
            figure = draw(of_set, scores, metric)
            figure.savefig(osp.join(args.out, f'{name}.png'))
        if args.page:
            fill_page(args.page, {name: table})


if __name__ == '__main__':
    mmengine.mkdir_or_exist('work_dirs')
    main()
