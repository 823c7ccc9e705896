"""Draws docs/images/iteration.png: ``python docs/draw_iteration.py``."""

from pathlib import Path
from typing import Tuple

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patches import FancyBboxPatch, Patch  # noqa: E402

OUT = Path(__file__).parent / 'images' / 'iteration.png'
COLORS = dict(
    view='#ffffff', loss='#fdf0c4', trained='#f6b26b', frozen='#cfd8e3'
)
LINE, HR, LR = '#555555', '#2f6db3', '#a4622a'
Point = Tuple[float, float]


def box(
    ax: Axes, at: Point, text: str, kind: str, size: Point = (1.7, 0.6)
) -> None:
    """A box round its middle."""
    (x, y), (width, height) = at, size
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle='round,pad=0,rounding_size=0.1',
        facecolor=COLORS[kind],
        edgecolor=LINE,
    )
    ax.add_patch(patch)
    ax.text(x, y, text, ha='center', va='center', fontsize=11)


def arrow(ax: Axes, *points: Point, color: str = LINE) -> None:
    """Through these points."""
    ax.plot(*zip(*points[:-1]), color=color, lw=1.5, zorder=0.5)
    style = dict(arrowstyle='-|>', color=color, lw=1.5, shrinkA=0, shrinkB=0)
    ax.annotate('', points[-1], points[-2], arrowprops=style)


def band(ax: Axes, low: float, high: float, title: str, note: str) -> None:
    """The background of a phase."""
    ax.axhspan(low, high, xmin=0.235, xmax=1, color='#f3f5f7', zorder=0)
    ax.text(3.45, high - 0.15, title, va='top', fontsize=12, weight='bold')
    ax.text(13.8, low + 0.12, note, ha='right', fontsize=10, style='italic')


def draw_batch(ax: Axes) -> None:
    box(
        ax,
        (1.4, 6.5),
        "the toolbox's data set,\npipeline, preprocessor",
        'view',
        (2.6, 0.9),
    )
    box(ax, (1.4, 5.2), 'view hr, labels', 'view')
    box(ax, (1.4, 3.9), 'degradation', 'loss')
    box(ax, (1.4, 2.6), 'view lr', 'view')
    arrow(ax, (1.4, 6.05), (1.4, 5.5))
    arrow(ax, (1.4, 4.9), (1.4, 4.2))
    arrow(ax, (1.4, 3.6), (1.4, 2.9))
    for y in (6.4, 3.0):
        arrow(ax, (2.25, 5.2), (3.1, 5.2), (3.1, y), (6.05, y), color=HR)
    for y in (4.8, 1.0):
        arrow(ax, (2.25, 2.6), (2.75, 2.6), (2.75, y), (3.75, y), color=LR)


def draw_sr_phase(ax: Axes) -> None:
    note = "then backward, and one step of sr_net's optimizer"
    band(ax, 3.95, 7.1, "phase 'sr' trains sr_net", note)
    box(ax, (4.6, 4.8), 'SR network', 'trained')
    box(ax, (6.9, 4.8), 'view sr', 'view')
    box(ax, (6.9, 6.4), 'view hr', 'view')
    box(ax, (6.9, 5.6), 'PixelLoss', 'loss')
    box(ax, (9.7, 5.6), 'task network,\nfeatures alone', 'frozen', (2.1, 2.2))
    box(ax, (12.5, 5.6), 'TDPLoss', 'loss')
    arrow(ax, (5.45, 4.8), (6.05, 4.8))
    arrow(ax, (6.9, 5.1), (6.9, 5.3))
    arrow(ax, (6.9, 6.1), (6.9, 5.9), color=HR)
    for y, color in ((4.8, LINE), (6.4, HR)):
        arrow(ax, (7.75, y), (8.65, y), color=color)
    for y, color in ((5.45, LINE), (5.75, HR)):
        arrow(ax, (10.75, y), (11.65, y), color=color)


def draw_task_phase(ax: Axes) -> None:
    note = (
        'sr is made again, by the updated SR network; then backward, and '
        "one step of task_model's optimizer"
    )
    band(ax, 0.1, 3.75, "phase 'task' trains task_model", note)
    box(ax, (4.6, 1.0), 'SR network', 'frozen')
    box(ax, (6.9, 1.0), 'view sr', 'view')
    box(ax, (6.9, 2.0), 'view cqmix', 'view')
    box(ax, (6.9, 3.0), 'view hr', 'view')
    box(ax, (9.7, 2.0), 'task network', 'trained', (2.1, 2.6))
    box(ax, (12.5, 2.0), 'TaskLoss,\n.34 of each view', 'loss', (2.0, 0.9))
    arrow(ax, (5.45, 1.0), (6.05, 1.0))
    arrow(ax, (6.9, 1.3), (6.9, 1.7))
    arrow(ax, (6.9, 2.7), (6.9, 2.3), color=HR)
    for y, color in ((1.0, LINE), (2.0, LINE), (3.0, HR)):
        arrow(ax, (7.75, y), (8.65, y), color=color)
    arrow(ax, (10.75, 2.0), (11.5, 2.0))


def main() -> None:
    figure, ax = plt.subplots(figsize=(14, 7.4))
    ax.set(xlim=(0, 14), ylim=(-0.3, 7.1))
    ax.axis('off')
    draw_batch(ax)
    draw_sr_phase(ax)
    draw_task_phase(ax)
    handles = [
        Patch(facecolor=COLORS[kind], edgecolor=LINE, label=label)
        for kind, label in (
            ('trained', 'network, trained'),
            ('frozen', 'network, frozen'),
            ('view', 'images'),
            ('loss', 'degradation, losses'),
        )
    ]
    ax.legend(handles=handles, loc='lower left', frameon=False, fontsize=10)
    figure.savefig(OUT, dpi=80, bbox_inches='tight')
    print(OUT)


if __name__ == '__main__':
    main()
