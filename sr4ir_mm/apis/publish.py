"""From a checkpoint of a training to a file for others."""

import logging
import re
from typing import Dict, Iterable

from mmengine.logging import print_log
from rich.progress import track

from sr4ir_mm.evaluation.metrics import TASK_METRICS
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.utils.files import whole_file
from sr4ir_mm.utils.mistakes import few

from .analysis.comparison import (
    answer,
    build_test_evaluator,
    build_test_set,
    without_reports,
)
from .deployment import save_weights
from .model import init_model

Figures = Dict[str, Dict[str, float]]
NAMES = dict(bilinear='LR, enlarged', sr='SR', hr='HR')
TOLERANCE = 0.5  # percent
# Settings of the training, not of the model.
_OF_THE_RUN = ('work_dir', 'load_from', 'resume', 'launcher')


def publish(checkpoint: str, out: str) -> Figures:
    """Write a model in half precision, and test what has been written.

    Args:
        checkpoint (str): With its config inside, as trained; the test data of
            the config must be there.
        out (str): ``*.safetensors``.

    Returns:
        dict: The file's metrics, by view and name.

    Raises:
        ValueError: If they are not those of the checkpoint; then there is no
            file.
    """
    model = init_model(checkpoint)
    for key in _OF_THE_RUN:
        model.cfg.pop(key, None)
    _warn_of_paths(model.cfg.pretty_text)
    with whole_file(out) as part:
        save_weights(model, part, half=True)
        views = dict.fromkeys(('bilinear', model.view, 'hr'))
        figures = measure(init_model(part), views)
        expected = measure(model, [model.view])
        _check_same(expected[model.view], figures[model.view])
    return figures


def measure(model: SRTaskModel, views: Iterable[str]) -> Figures:
    """The metrics of its config on the test data, by view and name.

    Args:
        model (SRTaskModel): Of :func:`init_model`.
        views (Iterable[str]): What the task network predicts from.
    """
    dataset = build_test_set(model)
    usual, figures = model.view, {}
    for view in views:
        model.view = view
        evaluator = build_test_evaluator(model, dataset)
        for index in track(range(len(dataset)), NAMES.get(view, view)):
            evaluator.process([answer(model, dataset[index]).sample])
        with without_reports():
            figures[view] = evaluator.evaluate(len(dataset))
    model.view = usual
    return figures


def describe(figures: Figures) -> str:
    """A table for the model's card, in Markdown."""
    names = [name for name, value in figures['hr'].items() if value != -1]
    heads = ['T sees', *(name.split('/')[-1] for name in names)]
    rows = [
        [NAMES.get(view, view), *(f'{found[name]:.3f}' for name in names)]
        for view, found in figures.items()
    ]
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def _check_same(expected: Dict[str, float], found: Dict[str, float]) -> None:
    for name in expected.keys() & TASK_METRICS.keys():
        one, other = expected[name], found[name]
        if abs(one - other) * TASK_METRICS[name] > TOLERANCE:
            raise ValueError(
                f'In half precision, {name} is {other:.4g}, not {one:.4g}: '
                'hand out the checkpoint itself, or what '
                'tools/deployment/export.py CHECKPOINT FILE.safetensors '
                'makes of it.'
            )


def _warn_of_paths(text: str) -> None:
    paths = sorted(set(re.findall(r'[\'"](/[^\'"]+)[\'"]', text)))
    if paths:
        print_log(
            f'The config inside names places of this machine: {few(paths)}.',
            level=logging.WARNING,
        )
