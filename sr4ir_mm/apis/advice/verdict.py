"""From what short trainings found to a verdict."""

from statistics import mean, variance
from typing import List, NamedTuple

# What is lost, as a share of what T has on HR images: of less than this, the
# third or half that S brings back is no more than seeds differ by.
WORTH = 0.15
# The share of what is lost that S must bring back.
BROUGHT = 0.15
RECIPE = 'one_batch'


class Scores(NamedTuple):
    """The task's metric on validation images, for each seed.

    Args:
        hr (list[float]): H -> T: T learns from HR images and is tested on
            them.
        lr (list[float]): L -> T: the same of enlarged LR images.
        all_hr (list[float]): A T that learns from HR, SR and enlarged LR
            images in one batch, tested on HR images,
        all_sr (list[float]): on SR images,
        all_lr (list[float]): and on enlarged LR images.
    """

    hr: List[float]
    lr: List[float]
    all_hr: List[float]
    all_sr: List[float]
    all_lr: List[float]


class Verdict(NamedTuple):
    """
    Args:
        answer (str): ``yes``, ``no`` or ``cannot tell``.
        because (str): In some sentences.
    """

    answer: str
    because: str


def _differences(ours: List[float], theirs: List[float]) -> List[float]:
    return [a - b for a, b in zip(ours, theirs)]


def judge(scores: Scores, scale: int) -> Verdict:
    """Whether an SR network would help, and how to train.

    One T that has learnt from all kinds of images tells how good these are
    for it: what training leaves to chance is the same for all. A T for each
    kind differs more from seed to seed than most images do.

    Args:
        scores (Scores): What was found.
        scale (int): Of the config.
    """
    lost = _differences(scores.all_hr, scores.all_lr)
    brought = _differences(scores.all_sr, scores.all_lr)
    # of the mean of either: two seeds are too few for one of its own
    error = ((variance(lost) + variance(brought)) / 2 / len(lost)) ** 0.5
    lost, brought, whole = mean(lost), mean(brought), mean(scores.all_hr)
    figures = (
        f'To the same T, enlarged LR images are worth {lost:.1f} ± {error:.1f}'
        f' less than HR images ({whole:.1f})'
    )
    if lost + error < WORTH * whole:
        return Verdict(
            'no',
            f'{figures}. So little is lost at x{scale} that an SR network is '
            'for nothing here: train T on enlarged LR images (L -> T).',
        )
    if lost - error < WORTH * whole:
        return Verdict(
            'cannot tell',
            f'{figures}. Whether enough is lost for an SR network, two seeds '
            'do not say: take a larger --budget.',
        )
    share, error = brought / lost, error / lost
    figures += f'. Of that, S brings back {share:.0%} ± {error:.0%}'
    if share - error > BROUGHT:
        return Verdict(
            'yes',
            f'{figures}. Train at x{scale} with recipe {RECIPE}: S on pixels, '
            'T on SR images, HR images and mixtures in one batch.',
        )
    if share + error < BROUGHT:
        return Verdict(
            'no',
            f'{figures}. Detail is lacking at x{scale}, and this S cannot '
            'make it: take LR images of a higher resolution, or L -> T.',
        )
    return Verdict(
        'cannot tell',
        f'{figures}. Whether that is enough, two seeds do not say: take a '
        'larger --budget.',
    )
