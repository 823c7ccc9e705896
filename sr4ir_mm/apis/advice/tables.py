"""What was found, on the screen."""

from statistics import mean
from typing import Dict, List, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from .look import Look
from .trials import Trial

NAMES = dict(hr='HR', sr='SR', bilinear='enlarged LR')


def print_scores(
    console: Console, found: Dict[Trial, dict], title: str
) -> None:
    """A row for each kind of training and of images that it is tested on.

    Args:
        console (Console): Where to.
        found (dict[Trial, dict]): What each trial found, in order.
        title (str): Of the table.
    """
    rows: Dict[tuple, List[dict]] = {}
    for trial, scores in found.items():
        for view in trial.tests:
            if 'task' in scores[view]:
                row = rows.setdefault((trial.name, trial.views, view), [])
                row.append(scores[view])
    table = Table(box=box.SIMPLE_HEAD, title=title)
    table.add_column('')
    table.add_column('T learns from')
    table.add_column('is tested on')
    number = max(map(len, rows.values()))
    heads = [f'seed {i}' for i in range(number)]
    for head in [*heads, 'mean', 'PSNR, dB']:
        table.add_column(head, justify='right')
    for (name, views, view), row in rows.items():
        scores = [scores['task'] for scores in row]
        table.add_row(
            name,
            ', '.join(NAMES[v] for v in views.split('+')),
            NAMES[view],
            *[f'{score:.1f}' for score in scores],
            f'{mean(scores):.1f}',
            f'{row[0]["psnr"]:.2f}',
        )
    console.print(table)


def describe(look: Look, scale: int) -> Sequence[str]:
    """What else the training is like, a sentence or two each."""
    for name, pull in look.pulls.items():
        yield (
            f'{name} pulls {pull.ratio:,.0f} times as hard at the SR image as '
            f'the pixel loss: it {pull.verdict}.'
        )
    if look.by_itself and look.norms:
        yield (
            f'T has {look.norms} BatchNorm layers that train, and the recipe '
            'shows it SR, HR and mixtures one after the other: their running '
            'statistics will be right for none. Show T all in one batch '
            '(one_batch), or set '
            "custom_hooks=[dict(type='sr4ir_mm.PreciseBNHook')]."
        )
    for census in look.censuses:
        total = sum(census.counts.values())
        if census.task == 'det' and total:
            yield (
                f'{census.small[0]:,} of {total:,} boxes are narrower than a '
                f'pixel of the LR images (x{scale}): nothing brings those '
                'back.'
            )
    yield (
        f'An iteration of this config takes {look.seconds:.2f} s and '
        f'{look.memory:,.0f} MiB here, the whole training {_time(look.hours)}.'
    )


def _time(hours: float) -> str:
    if hours < 1:
        return f'{max(1, round(60 * hours))} min'
    return f'{hours:,.1f} h' if hours < 48 else f'{hours / 24:,.1f} days'
