"""From what short trainings found to a verdict."""

from statistics import mean, variance
from typing import List, NamedTuple

# What enlarged LR images are worth, as a share of what HR images are, to a T
# that has learnt from both. In full trainings (docs/en/advise.md), no method
# is ahead of L -> T above or below.
ENOUGH = 0.95
TOO_LITTLE = 0.6
# With fewer, chance decides: a T on two images of one class is always right.
FEWEST_IMAGES, FEWEST_ITERS = 30, 100
RECIPE = 'one_batch'


class Scores(NamedTuple):
    """The task's metric on validation images, for each seed.

    Args:
        hr (list[float]): H -> T: T learns from HR images and is tested on
            them.
        lr (list[float]): L -> T: the same of enlarged LR images.
        all_hr (list[float]): A T that learns from SR, HR and enlarged LR
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


class _Estimate(NamedTuple):
    """A mean over seeds, and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: List[float]) -> '_Estimate':
        return cls(mean(values), (variance(values) / len(values)) ** 0.5)

    def __str__(self) -> str:
        return f'{self.mean:+.1f} ± {self.error:.1f}'

    def side(self, bound: float) -> int:
        """1 above a bound, -1 below it, 0 where its error does not say."""
        if abs(self.mean - bound) <= self.error:
            return 0
        return 1 if self.mean > bound else -1


def judge(scores: Scores, scale: int, images: int, budget: int) -> Verdict:
    """Whether an SR network would help, and how to train.

    One T tells what images are worth: what its training has left to chance is
    the same for all of them, whereas H -> T and L -> T differ by that as well.

    Args:
        scores (Scores): What was found.
        scale (int): Of the config.
        images (int): How many the scores are of.
        budget (int): Iterations of each T.
    """
    if images < FEWEST_IMAGES or budget < FEWEST_ITERS:
        return Verdict(
            'cannot tell',
            f'{budget} iterations and {images} validation images show that '
            f'it runs, and no more: take at least {FEWEST_ITERS} '
            f'(--budget) and {FEWEST_IMAGES}.',
        )
    if not all(scores.all_hr):
        return Verdict(
            'cannot tell',
            'T has learnt nothing yet: take a larger --budget.',
        )
    pairs = zip(scores.all_lr, scores.all_hr)
    kept = _Estimate.of([lr / hr for lr, hr in pairs])
    gain = _difference(scores.all_sr, scores.lr)
    figures = (
        f'at x{scale}, enlarged LR images are worth {kept.mean:.0%} ± '
        f'{kept.error:.0%} of HR images to a T that has learnt from both'
    )
    if not kept.side(ENOUGH) or not kept.side(TOO_LITTLE):
        return Verdict(
            'cannot tell',
            f'{figures}, which is as good as '
            f'{TOO_LITTLE if kept.mean < 0.75 else ENOUGH:.0%}, a bound of '
            'where S helps. Take a larger --budget, or other seeds.',
        )
    if kept.mean > ENOUGH:
        return Verdict(
            'no',
            f'{figures}. So little is lost that an SR network is for nothing '
            'here: train T on enlarged LR images (L -> T).',
        )
    figures += (
        f'. T with SR and HR images beside has {gain} on SR images, compared '
        'with L -> T'
    )
    if kept.mean < TOO_LITTLE:
        return Verdict(
            'no',
            f'{figures}. LR images hold too little of what T needs, which no '
            'SR network makes: take some of a higher resolution, or L -> T.',
        )
    if gain.side(0) < 0:
        return Verdict(
            'no', f'{figures}. It is for nothing here: take L -> T.'
        )
    sure = '' if gain.side(0) else ', which two seeds cannot tell from nothing'
    same = _difference(scores.all_sr, scores.all_lr)
    return Verdict(
        'yes',
        f'{figures}{sure}. Train with recipe {RECIPE}: S on pixels, T on SR '
        'images, HR images and mixtures in one batch. (That same T has '
        f'{same} on SR images, compared with enlarged LR images: the rest of '
        'the gain is what HR images teach it. So train recipe lh2t beside it, '
        'which has no SR network, and keep S if it is ahead.)',
    )


def _difference(ours: List[float], theirs: List[float]) -> _Estimate:
    """Seed by seed."""
    return _Estimate.of([a - b for a, b in zip(ours, theirs)])
