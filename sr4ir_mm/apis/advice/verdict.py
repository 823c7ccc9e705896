"""From what short trainings found to a verdict."""

from statistics import mean, variance
from typing import List, NamedTuple

# A share of what T has on HR images; what is lost below it is not worth a
# second network.
WORTH = 0.1
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


class _Difference(NamedTuple):
    mean: float
    error: float

    def __str__(self) -> str:
        return f'{self.mean:.1f} ± {self.error:.1f}'


def _difference(ours: List[float], theirs: List[float]) -> _Difference:
    """Seed by seed: mean and its standard error."""
    pairs = [a - b for a, b in zip(ours, theirs)]
    return _Difference(mean(pairs), (variance(pairs) / len(pairs)) ** 0.5)


def judge(scores: Scores, scale: int) -> Verdict:
    """Whether an SR network would help, and how to train.

    One T that has learnt from all kinds of images tells how good these are
    for it: what training leaves to chance is the same for all. A T for each
    kind differs more from seed to seed than most images do.

    Args:
        scores (Scores): What was found.
        scale (int): Of the config.
    """
    lost = _difference(scores.all_hr, scores.all_lr)
    brought = _difference(scores.all_sr, scores.all_lr)
    whole = mean(scores.all_hr)
    least = WORTH * whole
    figures = (
        f'To the same T, enlarged LR images are worth {lost} less than HR '
        f'images ({whole:.1f}), and those of S {brought} more than enlarged '
        'ones'
    )
    if lost.mean + lost.error < least:
        return Verdict(
            'no',
            f'{figures}. So little is lost at x{scale} that an SR network is '
            'for nothing here: train T on enlarged LR images (L -> T).',
        )
    if lost.mean - lost.error < least:
        return Verdict(
            'cannot tell',
            f'{figures}. Whether anything is lost, two seeds do not say: take '
            'a larger --budget.',
        )
    share = brought.mean / lost.mean
    error = brought.error / lost.mean
    figures += f': {share:.0%} of what is lost'
    if share - error > BROUGHT:
        return Verdict(
            'yes',
            f'{figures}. Train at x{scale} with recipe {RECIPE}: T on SR, HR '
            'and mixtures in one batch, S on pixels.',
        )
    if share + error < BROUGHT:
        return Verdict(
            'no',
            f'{figures}. Detail is lacking at x{scale}, but S brings none '
            'back: take LR images of a higher resolution, or L -> T.',
        )
    return Verdict(
        'cannot tell',
        f'{figures}. Whether S brings enough of it back, two seeds do not '
        'say: take a larger --budget.',
    )
