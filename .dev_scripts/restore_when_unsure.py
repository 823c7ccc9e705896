"""What it would bring to restore only where T is unsure.

    python .dev_scripts/restore_when_unsure.py CHECKPOINT

T looks at the enlarged LR image first; S runs, and T once more, where T is
unsure: 1 less the probability of its class, of a segmentor the mean over
pixels. The threshold is that which restores the fewest validation images, and
keeps their metric within a tolerance of restoring all. The metric of the test
images and the time follow: T + share * (S + T), compared with S + T, medians
of CPU time in one thread.
"""

import argparse
from statistics import median
from time import process_time
from typing import Dict, List, NamedTuple

import numpy as np
import torch
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement

from sr4ir_mm.apis import init_model
from sr4ir_mm.apis.analysis.comparison import make_views
from sr4ir_mm.models.sr_task_model import SRTaskModel

WAYS = ('bilinear', 'sr')


class Found(NamedTuple):
    """In an image.

    Args:
        unsure (float): Of the enlarged LR image, 0 to 1.
        counts (dict[str, np.ndarray]): By view: how often a class (first
            axis) was taken for another.
        seconds (dict[str, float]): Of T on each view, and of S.
    """

    unsure: float
    counts: Dict[str, np.ndarray]
    seconds: Dict[str, float]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('checkpoint', help='of a segmentor or a classifier')
    parser.add_argument(
        '--tolerance',
        type=float,
        default=0.5,
        help='points of the metric (default: 0.5)',
    )
    return parser.parse_args()


@torch.no_grad()
def look(model: SRTaskModel, data: dict) -> Found:
    views = make_views(model, data)
    views['lr']
    counts, seconds, unsure = {}, {}, 0.0
    for way in WAYS:
        start = process_time()
        inputs = views.task_input(way)
        made = process_time()
        samples = model.task_samples(views)
        (found,) = model.task_model.predict(inputs, samples)
        seconds[f'T on {way}'] = process_time() - made
        if way == 'sr':
            seconds['S'] = made - start
        scores = _scores(found)
        if way == 'bilinear':
            unsure = 1 - float(scores.max(dim=0).values.mean())
        truth = _truth(views.data_samples[0])
        known = truth != 255
        number = len(scores)
        pairs = truth[known] * number + scores.argmax(dim=0)[known]
        counts[way] = np.bincount(pairs, minlength=number**2).reshape(
            number, number
        )
    return Found(unsure, counts, seconds)


def _scores(sample: BaseDataElement) -> torch.Tensor:
    """(classes, ...)"""
    if 'pred_score' in sample:
        return sample.pred_score[:, None]
    return sample.seg_logits.data.softmax(dim=0)


def _truth(sample: BaseDataElement) -> torch.Tensor:
    if 'gt_label' in sample:
        return sample.gt_label.long()
    return sample.gt_sem_seg.data[0].long()


def metric(found: List[Found], threshold: float, pixels: bool) -> float:
    """mIoU or accuracy, in %."""
    counts = sum(
        one.counts[WAYS[int(one.unsure > threshold)]].astype(float)
        for one in found
    )
    right = np.diag(counts)
    if not pixels:
        return 100 * right.sum() / counts.sum()
    with np.errstate(invalid='ignore'):  # of classes that never occur
        union = counts.sum(0) + counts.sum(1) - right
        return 100 * np.nanmean(right / union)


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    model = init_model(args.checkpoint, device='cpu')
    if model.toolbox == 'mmdet':
        raise SystemExit('Boxes have no such score: give another checkpoint.')
    found = {}
    for part in ('val', 'test'):
        with DefaultScope.overwrite_default_scope(model.cfg.default_scope):
            dataset = DATASETS.build(model.cfg[f'{part}_dataloader'].dataset)
        found[part] = [look(model, dataset[i]) for i in range(len(dataset))]

    def of(part: str, threshold: float) -> float:
        return metric(found[part], threshold, model.toolbox == 'mmseg')

    unsure = {
        part: np.array([f.unsure for f in found[part]]) for part in found
    }
    best = of('val', -1)
    thresholds = sorted({1.0, *unsure['val']}, reverse=True)
    fits = (of('val', t) >= best - args.tolerance for t in thresholds)
    chosen = next((t for t, fit in zip(thresholds, fits) if fit), -1.0)
    low, high, sr = (
        median(one.seconds[name] for one in found['test'])
        for name in ('T on bilinear', 'T on sr', 'S')
    )
    print(f'ms: S {1e3 * sr:.1f}, T {1e3 * high:.1f}')
    print('| threshold | images restored | val | test | time |')
    print('| --- | --- | --- | --- | --- |')
    quantiles = np.quantile(unsure['val'], np.arange(0.8, 0, -0.2))
    for threshold in (1.0, *quantiles, -1.0, chosen):
        share = (unsure['test'] > threshold).mean()
        time = (low + share * (sr + high)) / (sr + high)
        print(
            f'| {threshold:.3f} | {share:.0%} | {of("val", threshold):.1f} | '
            f'{of("test", threshold):.1f} | {time:.2f} |'
        )
    print('The last row is the chosen one.')


if __name__ == '__main__':
    main()
