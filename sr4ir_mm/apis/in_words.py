"""What was predicted, in words for the screen."""

import os.path as osp
from collections import Counter
from typing import Dict, List, Optional, Sequence

import numpy as np

from sr4ir_mm.utils.labels import NO_LABEL, name_label

_MOST_IMAGES = 10  # with a line each
_MOST_CLASSES = 5  # in a line
_FORMS = dict(  # of a class, and its share, boxes or score
    seg='{0} {1:.0%}', det='{1} x {0}', cls='{0} ({1:.2f})'
)


class InWords:
    """Collects predictions, and says them: in a line for each of a few images,
    in one line of more.

    Args:
        classes (Sequence[str], optional): Names of the labels, if known.
        least (float): Score from which on boxes count.
    """

    def __init__(self, classes: Optional[Sequence[str]], least: float) -> None:
        self.classes = classes
        self.least = least
        self.number = 0
        self._names: List[str] = []
        self._texts: List[str] = []
        self._sum: Counter = Counter()

    def add(self, result: dict) -> None:
        """Take what :meth:`SRInferencer.stream` yields."""
        self.number += 1
        prediction = result['prediction']
        if isinstance(prediction, np.ndarray):
            self._kind, found = 'seg', self._pixels(prediction)
        elif 'bboxes' in prediction:
            self._kind, found = 'det', self._boxes(prediction)
        else:
            self._kind, found = 'cls', self._scores(prediction)
        # of classes, the images are counted
        self._sum.update(found if self._kind != 'cls' else list(found))
        if self.number <= _MOST_IMAGES:
            self._names.append(result['name'])
            self._texts.append(self._join(found))

    def lines(self) -> List[str]:
        """What to print."""
        if self.number <= _MOST_IMAGES:
            return list(map('{}: {}'.format, self._shorten(), self._texts))
        if self._kind == 'seg':
            return [f'Of all pixels: {self._join(self._sum)}']
        what = dict(det='Boxes', cls='Images')[self._kind]
        return [f'{what}: {_join(self._sum, _FORMS["det"])}']

    def _shorten(self) -> List[str]:
        """Names without the folders that tell none from another."""
        paths = [name.split(osp.sep) for name in self._names]
        depths = range(1, max(map(len, paths), default=0) + 1)
        for depth in depths:
            names = [osp.join(*path[-depth:]) for path in paths]
            if len(set(names)) == len(set(self._names)):
                return names
        return self._names

    def _join(self, found: Dict[str, float]) -> str:
        if self._kind == 'seg':
            whole = sum(found.values())
            found = {name: number / whole for name, number in found.items()}
        return _join(found, _FORMS[self._kind])

    def _pixels(self, labels: np.ndarray) -> Dict[str, int]:
        labels = labels[labels != NO_LABEL]
        found, pixels = np.unique(labels, return_counts=True)
        names = (name_label(label, self.classes) for label in found.tolist())
        return dict(zip(names, pixels.tolist()))

    def _boxes(self, found: dict) -> Dict[str, int]:
        return Counter(
            name_label(label, self.classes)
            for label, score in zip(found['labels'], found['scores'])
            if score >= self.least
        )

    def _scores(self, found: dict) -> Dict[str, float]:
        labels, scores = found['pred_label'], found['pred_score']
        if not isinstance(labels, list):
            labels, scores = [labels], [scores]
        names = [name_label(label, self.classes) for label in labels]
        return dict(zip(names, scores))


def _join(found: dict, form: str) -> str:
    """The largest first."""
    items = Counter(found).most_common()
    texts = [form.format(*item) for item in items[:_MOST_CLASSES]]
    rest = len(items) - len(texts)
    return ', '.join(texts + [f'and {rest} more classes'] * (rest > 0)) or (
        'nothing'
    )
