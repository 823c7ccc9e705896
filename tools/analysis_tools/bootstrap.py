"""How far the task metric depends on which images the test set has:
``python tools/analysis_tools/bootstrap.py CHECKPOINT ...``

Every checkpoint predicts the test images of the first one's config once. Then
test sets are drawn from them, with replacement (bootstrap): the table has the
metric on the test set itself, the interval that holds 95 % of those drawn, and
the same of the difference to the first checkpoint, which sees the same images.
It says nothing of seeds: see ``run_table.py --seeds``.
"""

from __future__ import annotations

import argparse
import copy
from typing import TYPE_CHECKING, Dict, List

from sr4ir_mm.cli import add_checkpoint_args, load_models

if TYPE_CHECKING:
    import numpy as np
    from mmengine.evaluator import BaseMetric

    from sr4ir_mm.models.sr_task_model import SRTaskModel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_checkpoint_args(parser)
    parser.add_argument(
        '--samples', type=int, default=1000, help='test sets to draw'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def task_metric(model: SRTaskModel, dataset) -> BaseMetric:
    """The toolbox's own metric of a config.

    Raises:
        ValueError: If there is none, or it cannot be of images that are
            drawn twice.
    """
    from sr4ir_mm.apis.analysis.comparison import build_test_evaluator

    found = [
        metric
        for metric in build_test_evaluator(model, dataset).metrics
        if not type(metric).__module__.startswith('sr4ir_mm')
    ]
    if not found:
        raise ValueError(
            'test_evaluator has no metric of a toolbox, such as '
            "dict(type='IoUMetric', iou_metrics=['mIoU'])."
        )
    if getattr(found[0], '_coco_api', None) is not None:
        raise ValueError(
            f'test_evaluator: {type(found[0]).__name__} has an ann_file, in '
            'which an image is there once: leave it out, and let the pipeline '
            "pack 'instances' (meta_keys of PackDetInputs)."
        )
    return found[0]


def predict(
    models: Dict[str, SRTaskModel], dataset, metric: BaseMetric
) -> Dict[str, list]:
    """What the metric notes down of each image, by the models' names."""
    from rich.progress import track

    from sr4ir_mm.apis.analysis.comparison import answer

    found = {name: [] for name in models}
    for index in track(range(len(dataset)), 'Images'):
        data = dataset[index]
        for name, model in models.items():
            metric.results.clear()
            metric.process({}, [answer(model, data).sample.to_dict()])
            found[name] += metric.results
    return found


def score(metric: BaseMetric, results: list) -> float:
    """Of some images, of which any may be there several times; in percent."""
    from sr4ir_mm.apis.analysis.comparison import without_reports
    from sr4ir_mm.evaluation.metrics import TASK_METRICS

    if results and isinstance(results[0], tuple) and len(results[0]) == 2:
        results = [  # mmdet's, of which each image has a name
            tuple(dict(part, img_id=i) for part in pair)
            for i, pair in enumerate(results)
        ]
    metric = copy.copy(metric)  # mmdet's remember their images
    with without_reports():
        found = metric.compute_metrics(results)
    prefix = f'{metric.prefix}/' if metric.prefix else ''
    found = {f'{prefix}{name}': value for name, value in found.items()}
    name = next(name for name in TASK_METRICS if name in found)
    return found[name] * TASK_METRICS[name]


def draw(
    metric: BaseMetric, found: Dict[str, list], samples: int, seed: int
) -> np.ndarray:
    """The metric on drawn test sets, (samples, models)."""
    import numpy as np
    from rich.progress import track

    number = len(next(iter(found.values())))
    generator = np.random.default_rng(seed)
    scores = []
    for _ in track(range(samples), 'Test sets'):
        drawn = generator.integers(number, size=number)
        scores.append(
            [
                score(metric, [results[i] for i in drawn])
                for results in found.values()
            ]
        )
    return np.array(scores)


def table(
    metric: BaseMetric, found: Dict[str, list], scores: np.ndarray
) -> List[str]:
    """Markdown."""
    import numpy as np

    lines = [
        '| | % | 95 % of test sets | beside the first |',
        '|' + ' --- |' * 4,
    ]
    whole = [score(metric, results) for results in found.values()]
    for i, name in enumerate(found):
        low, high = np.percentile(scores[:, i], (2.5, 97.5))
        cells = [name, f'{whole[i]:.2f}', f'{low:.2f} to {high:.2f}', '']
        if i:
            low, high = np.percentile(scores[:, i] - scores[:, 0], (2.5, 97.5))
            cells[3] = (
                f'{whole[i] - whole[0]:+.2f} ({low:+.2f} to {high:+.2f})'
            )
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def bootstrap(args: argparse.Namespace) -> None:
    from sr4ir_mm.apis.analysis.comparison import build_test_set

    models = load_models(args)
    first = next(iter(models.values()))
    dataset = build_test_set(first)
    metric = task_metric(first, dataset)
    found = predict(models, dataset, metric)
    scores = draw(metric, found, args.samples, args.seed)
    print(*table(metric, found, scores), sep='\n')


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        bootstrap(args)


if __name__ == '__main__':
    main()
