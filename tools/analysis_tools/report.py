"""One page about some trainings, that needs no network to be read:
``python tools/analysis_tools/report.py WORK_DIR ... --out report.html``

It has the final figures, with the paper's beside them where a run is one of
its experiments, what differs between the configs, curves of every loss and
metric, costs, and the newest panels. A folder that holds the folders of
several runs, as run_table.py's, stands for them all.
"""

from __future__ import annotations

import argparse
import base64
import glob
import json
import os
import os.path as osp
import re
import sys
from datetime import datetime, timedelta
from itertools import takewhile
from math import isfinite
from statistics import median
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

from sr4ir_mm.cli import add_debug

HERE = osp.dirname(osp.abspath(__file__))
# of the paper's experiments: a checkout has it, a package has not
EVIDENCE = osp.join(HERE, '..', '..', '.dev_scripts', 'evidence')

if TYPE_CHECKING:
    from markupsafe import Markup


# What is no loss and no metric, in the log of a training.
BOOKKEEPING = ('iter', 'epoch', 'step', 'time', 'data_time', 'memory')
COLUMNS = 3
PANEL_WIDTH = 1200  # pixels
LOWER_IS_BETTER = ('sr/LPIPS', 'sr/TFD')


class Run(NamedTuple):
    """What the folder of a training holds."""

    name: str
    config: Dict[str, str]  # flat
    curves: Dict[str, Tuple[list, list]]  # steps and values, by name
    metrics: Dict[str, float]
    paper: Dict[str, float]
    costs: Dict[str, str]
    panels: Dict[str, str]  # WebP as base64, by name


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('work_dirs', nargs='+')
    parser.add_argument('--out', default='report.html')
    parser.add_argument('--title', default='Trainings')
    parser.add_argument(
        '--num-panels', type=int, default=3, help='of each run (default: 3)'
    )
    add_debug(parser)
    return parser.parse_args()


# -------------------------------------------------------------------- reading


def find_runs(work_dirs: List[str]) -> List[str]:
    """Folders of trainings: those given, or below those given, but for the
    short ones of ``sr4ir advise`` (RUN/advice/NAME).

    Raises:
        FileNotFoundError: If there is none in one of them.
    """
    found = []
    for work_dir in work_dirs:
        logs = glob.glob(
            osp.join(glob.escape(work_dir), '**/vis_data/scalars.json'),
            recursive=True,
        )
        logs = [
            path
            for path in logs
            if 'advice' not in osp.relpath(path, work_dir).split(os.sep)
        ]
        if not logs:
            raise FileNotFoundError(
                f'{work_dir}: no log of a training (TIMESTAMP/vis_data/'
                'scalars.json) in it or below it.'
            )
        # RUN/TIMESTAMP/vis_data/scalars.json
        found += sorted({osp.normpath(osp.join(p, '../../..')) for p in logs})
    return list(dict.fromkeys(found))


def name_runs(folders: List[str]) -> List[str]:
    """The folders without what they have in common."""
    if len(folders) == 1:
        return [osp.basename(osp.abspath(folders[0]))]
    common = osp.commonpath([osp.abspath(folder) for folder in folders])
    return [osp.relpath(folder, common) for folder in folders]


def read_runs(folders: List[str], num_panels: int) -> List[Run]:
    """Those that can be read; of the others there is a warning.

    Raises:
        ValueError: If there is none.
    """
    from sr4ir_mm.utils.mistakes import explain

    runs = []
    for folder, name in zip(folders, name_runs(folders)):
        try:
            runs.append(read_run(folder, name, num_panels))
        except Exception as error:  # the other runs count
            warn(f'{folder} is left out: {explain(error)}')
    if not runs:
        raise ValueError('None of the runs could be read, see above.')
    return runs


def warn(text: str) -> None:
    print(f'warning: {text}', file=sys.stderr)


def read_run(folder: str, name: str, num_panels: int) -> Run:
    logs = sorted(glob.glob(osp.join(glob.escape(folder), '*/vis_data')))
    records = in_order({log: read_log(log) for log in logs})
    logs = list(records)
    training, validation = merge_logs(records.values())
    curves = {}
    for step, record in [*training, *validation]:
        for key, value in record.items():
            if key not in BOOKKEEPING and isinstance(value, (int, float)):
                steps, values = curves.setdefault(key, ([], []))
                steps.append(step)
                values.append(value)
    metrics = read_metrics(folder, validation)
    return Run(
        name,
        read_settings(osp.join(logs[-1], 'config.py')),
        curves,
        metrics,
        paper_figures(folder, metrics),
        measure_costs(folder, training),
        read_panels(logs, num_panels),
    )


def read_settings(path: str) -> Dict[str, str]:
    """A config, which is not run, by dotted keys; empty, with a warning, if
    it cannot be read."""
    from sr4ir_mm.utils.safe_config import read_data

    try:
        with open(path, encoding='utf-8') as file:
            return dict(flatten(read_data(file.read(), path)))
    except (OSError, ValueError) as error:
        warn(f'{path}: the settings of this run are left out: {error}')
        return {}


def read_log(log: str) -> List[dict]:
    """What mmengine wrote, without lines that were cut."""
    path = osp.join(log, 'scalars.json')
    if not osp.isfile(path):
        return []
    records, bad = [], []
    with open(path, encoding='utf-8', errors='replace') as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line) if line.strip() else None
                if record is not None:
                    records.append(dict(record, step=int(record['step'])))
            except (ValueError, KeyError, TypeError):
                bad.append(str(number))
    if bad:
        warn(
            f'{path}: {len(bad)} line(s) left out that cannot be read '
            f'({", ".join(bad[:5])}).'
        )
    return records


def in_order(logs: Dict[str, List[dict]]) -> Dict[str, List[dict]]:
    """By the time in their folders' names; but where a clock was set back, a
    resumed part stands before what it goes on from."""
    steps = {
        log: [record['step'] for record in records if 'loss' in record]
        for log, records in logs.items()
    }
    begins = {log: at[0] for log, at in steps.items() if at}
    start = min(begins, key=begins.get, default=None)
    early = [*takewhile(lambda log: log != start, begins)]
    order = [log for log in logs if log not in early]
    at = order.index(start) + 1 if early else 0
    order[at:at] = early
    return {log: logs[log] for log in order}


def merge_logs(logs: Iterable[List[dict]]) -> Tuple[list, list]:
    """(step, record) of training and validation, in their order.

    A training that was resumed has several logs: what a later one repeats,
    counts. A validation stands at its step, or, where the toolboxes' configs
    write an epoch there, at that of the training logged before it.
    """
    training, validation = {}, {}
    for records in logs:
        at = [record['step'] for record in records if 'loss' in record]
        if at:  # begins again there
            for records_of in (training, validation):
                for step in [s for s in records_of if s >= at[0]]:
                    del records_of[step]
        last = max(training, default=0)
        for record in records:
            if 'loss' in record:
                last = record['step']
                training[last] = record
            else:
                validation[max(last, record['step'])] = record
    return sorted(training.items()), sorted(validation.items())


def read_metrics(folder: str, validation: list) -> Dict[str, float]:
    """Of the test: run_table.py's, or the newest of tools/test.py, which the
    log's own JSON holds; else of the last validation."""
    import mmengine

    results = osp.join(folder, 'results.json')
    tests = sorted(glob.glob(osp.join(glob.escape(folder), '*/*.json')))
    metrics = dict(validation[-1][1]) if validation else {}
    for path in [*tests, results]:
        if osp.isfile(path):
            try:
                found = mmengine.load(path)
                metrics = found['metrics'] if path == results else dict(found)
            except (ValueError, KeyError, TypeError):
                warn(f'{path}: left out, since it cannot be read.')
    return {
        key: value
        for key, value in metrics.items()
        if key not in BOOKKEEPING and isinstance(value, (int, float))
    }


def paper_figures(folder: str, metrics: dict) -> Dict[str, float]:
    """The paper's figures by our metrics' names, if its configs have one of
    the name of the run's config or folder."""
    if not osp.isdir(EVIDENCE):
        return {}
    sys.path.insert(0, EVIDENCE)
    from derive_config import setup_of
    from paper_tables import DATASETS, TABLES

    names = [osp.basename(p)[:-3] for p in glob.glob(osp.join(folder, '*.py'))]
    names += osp.abspath(folder).split(os.sep)[-2:]
    for table in TABLES.values():
        for (dataset, scale, *noise), rows in table['paper'].items():
            if noise:
                continue
            setup = setup_of(DATASETS[dataset])
            for row, figures in rows.items():
                template = table['rows'][row]
                if not isinstance(template, str):
                    continue
                config = template.format(setup=setup, scale=scale)
                if osp.basename(config) in names:
                    found = dict(zip(table['metrics'], figures))
                    return _by_our_names(found, metrics)
    return {}


def _by_our_names(figures: dict, metrics: dict) -> Dict[str, float]:
    from sr4ir_mm.evaluation.metrics import TASK_METRICS

    ours = {f'sr/{k}': figure for k, figure in figures.items() if k != 'task'}
    for name, factor in TASK_METRICS.items():
        if name in metrics:
            ours[name] = figures['task'] / factor
    return {k: v for k, v in ours.items() if v is not None and isfinite(v)}


def measure_costs(folder: str, training: list) -> Dict[str, str]:
    """Of the training, from its log, and of the networks."""
    records = [r for _, r in training if 'time' in r and 'data_time' in r]
    steps = [0, *(record['step'] for record in records)]
    seconds = [record['time'] for record in records]
    costs = {}
    if seconds:
        total = sum(
            time * (step - before)
            for time, step, before in zip(seconds, steps[1:], steps)
        )
        loading = sum(r['data_time'] for r in records) / sum(seconds)
        costs = {
            'iterations logged': f'{steps[-1]}',
            'training time': str(timedelta(seconds=round(total))),
            's / iteration (median)': f'{median(seconds):.3f}',
            'waiting for data': f'{loading:.0%}',
        }
        memory = [r['memory'] for r in records if 'memory' in r]
        if memory:
            costs['GPU memory, peak'] = f'{max(memory)} MB'
    costs['device'] = read_device(folder)
    for network, number in count_parameters(folder).items():
        costs[f'parameters, {network}'] = f'{number / 1e6:.2f} M'
    return costs


def read_device(folder: str) -> str:
    """As mmengine writes it at the beginning of a log."""
    for path in sorted(glob.glob(osp.join(glob.escape(folder), '*/*.log'))):
        with open(path, errors='replace') as file:
            found = re.search(r'^ *GPU 0[\d,]*: (.+)$', file.read(20000), re.M)
        return found[1] if found else 'CPU'
    return ''


def count_parameters(folder: str) -> Dict[str, int]:
    """Of each network, in the last checkpoint, if it is still there."""
    import torch

    pointer = osp.join(folder, 'last_checkpoint')
    if not osp.isfile(pointer):
        return {}
    with open(pointer) as file:
        # the folder may have been moved
        path = osp.join(folder, osp.basename(file.read().strip()))
    if not osp.isfile(path):
        return {}
    weights = torch.load(path, map_location='cpu')['state_dict']
    counts = {}
    for name, weight in weights.items():
        network = name.split('.')[0]
        if network in ('sr_net', 'task_model'):
            counts[network] = counts.get(network, 0) + weight.numel()
    return counts


def read_panels(logs: List[str], number: int) -> Dict[str, str]:
    """The newest panel of each of the first images."""
    import cv2
    from mmcv.image import imread, imrescale

    newest = {}
    for log in logs:
        paths = glob.glob(osp.join(glob.escape(log), 'vis_image', '*.png'))
        for path in sorted(paths, key=osp.getmtime):
            # NAME_STEP.png
            newest[osp.basename(path).rsplit('_', 1)[0]] = path
    panels = {}
    for name in sorted(newest)[:number]:
        image = imrescale(imread(newest[name]), (PANEL_WIDTH, PANEL_WIDTH))
        _, data = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, 85])
        panels[name] = base64.b64encode(data).decode()
    return panels


# -------------------------------------------------------------------- writing


def flatten(node: Any, key: str = '') -> Iterator[Tuple[str, str]]:
    """A config by dotted keys, as ``--cfg-options`` takes them; lists of
    dicts (phases, pipelines) are gone into as well."""
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, (list, tuple)) and any(
        isinstance(child, (dict, list, tuple)) for child in node
    ):
        children = enumerate(node)
    else:
        yield key, repr(node)
        return
    for name, child in children:
        yield from flatten(child, f'{key}.{name}' if key else str(name))


def find_differences(runs: List[Run]) -> Dict[str, List[str]]:
    """Values that differ, of each run, by key. Only those keys count that a
    run reads: a config's own variables are none of them."""
    roots = (
        *('model', 'train_cfg', 'optim_wrapper', 'param_scheduler'),
        *('train_dataloader', 'test_dataloader', 'test_evaluator'),
        *('randomness', 'custom_hooks', 'default_hooks', 'auto_scale_lr'),
    )
    keys = dict.fromkeys(key for run in runs for key in run.config)
    table = {
        key: [run.config.get(key, '') for run in runs]
        for key in keys
        if key.split('.')[0] in roots
    }
    return {k: table[k] for k in sorted(table) if len(set(table[k])) > 1}


def draw_curves(runs: List[Run]) -> List[Markup]:
    """Figures of losses, metrics and learning rates: a small one for each
    name, with a curve for each run."""
    from markupsafe import Markup

    names = sorted({name for run in runs for name in run.curves})
    groups = {'Losses': [], 'Metrics': [], 'Learning rates': []}
    for name in names:
        rate = name.endswith('.lr') or name == 'lr'
        loss = 'loss' in name
        group = 'Learning rates' if rate else 'Losses' if loss else 'Metrics'
        groups[group].append(name)
    return [
        Markup(draw_grid(title, names, runs))
        for title, names in groups.items()
        if names
    ]


def draw_grid(title: str, names: List[str], runs: List[Run]) -> str:
    import plotly.graph_objects as go
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    num_rows = -(-len(names) // COLUMNS)
    height = 90 + 230 * num_rows
    figure = make_subplots(
        num_rows,
        COLUMNS,
        subplot_titles=names,
        vertical_spacing=min(0.3, 60 / height),
    )
    legends = set()
    for i, name in enumerate(names):
        row, column = divmod(i, COLUMNS)
        for k, run in enumerate(runs):
            if name not in run.curves:
                continue
            steps, values = run.curves[name]
            curve = go.Scatter(
                x=steps,
                y=values,
                mode='lines+markers' if len(steps) < 20 else 'lines',
                name=run.name,
                legendgroup=run.name,
                legendrank=k,
                showlegend=run.name not in legends,
                line=dict(
                    color=qualitative.D3[k % len(qualitative.D3)], width=1.5
                ),
            )
            legends.add(run.name)
            figure.add_trace(curve, row + 1, column + 1)
    figure.update_annotations(font_size=12)
    figure.update_layout(
        title=title,
        height=height,
        template='plotly_white',
        margin=dict(l=40, r=10, t=80, b=30),
    )
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config=dict(displaylogo=False),
    )


def write_report(runs: List[Run], title: str, out: str) -> None:
    """Write the page to ``out``."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    from sr4ir_mm.registry import require_package
    from sr4ir_mm.utils.files import whole_file

    require_package('plotly', 'The report')
    from plotly.offline import get_plotlyjs

    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    best = {name: best_of(name, runs) for name in metrics}
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True
    )
    environment.filters['figure'] = format_figure
    page = environment.get_template('report.html').render(
        title=title,
        date=datetime.now().strftime('%Y-%m-%d %H:%M'),
        plotly=Markup(get_plotlyjs()),
        runs=runs,
        metrics=metrics,
        best=best,
        any_paper=any(run.paper for run in runs),
        differences=find_differences(runs),
        figures=draw_curves(runs),
        costs=list(dict.fromkeys(name for run in runs for name in run.costs)),
    )
    with whole_file(out) as part:
        with open(part, 'w', encoding='utf-8') as file:
            file.write(page)


def best_of(metric: str, runs: List[Run]) -> Optional[float]:
    """The best finite value, if there are several."""
    values = [run.metrics.get(metric, float('inf')) for run in runs]
    values = [value for value in values if isfinite(value)]
    if len(set(values)) < 2:
        return None
    return (min if metric in LOWER_IS_BETTER else max)(values)


def format_figure(value: float) -> str:
    return f'{value:.3f}' if abs(value) < 2 else f'{value:.2f}'


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        runs = read_runs(find_runs(args.work_dirs), args.num_panels)
        write_report(runs, args.title, args.out)
    print(f'{args.out}, {osp.getsize(args.out) / 2**20:.1f} MB')


if __name__ == '__main__':
    main()
