"""Objects that are found in parts of a scene."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

import numpy as np

if TYPE_CHECKING:
    from .scenes import Part

IOU = 0.5  # above which two boxes of one class are of one object


class Objects:
    """Collects objects of the parts of a scene, and merges what neighbouring
    parts have both seen.

    Args:
        scale (int): Between LR and SR pixels.
        slack (int): LR pixels by which an object's centre may lie outside of
            what is kept of its part: two parts do not see it at the same
            place.
    """

    def __init__(self, scale: int, slack: int) -> None:
        self.scale, self.slack = scale, slack
        self._parts: Dict[Tuple[int, int], Dict[str, np.ndarray]] = {}

    def add(self, part: 'Part', found: dict) -> None:
        """Take those of a part.

        Args:
            part (Part): The part.
            found (dict): See :meth:`SRInferencer.__call__`, in SR pixels of
                what is seen of it.
        """
        seen, kept = part.seen, part.kept
        boxes = np.asarray(found['bboxes'], np.float64).reshape(-1, 4)
        boxes = boxes + np.array([seen.left, seen.top] * 2) * self.scale
        x, y = (boxes[:, :2] + boxes[:, 2:]).T / 2 / self.scale
        near = (y >= kept.top - self.slack) & (x >= kept.left - self.slack)
        near &= y < kept.top + kept.height + self.slack
        near &= x < kept.left + kept.width + self.slack
        one = dict(
            bboxes=boxes[near],
            scores=np.asarray(found['scores'], np.float64)[near],
            labels=np.asarray(found['labels'], np.int64)[near],
        )
        for key in ('label_names', 'masks'):
            if key in found:
                values = np.empty(len(boxes), object)
                values[:] = found[key]
                one[key] = values[near]
        one['at'] = np.tile(
            [seen.left * self.scale, seen.top * self.scale], (near.sum(), 1)
        )
        self._parts[part.row, part.column] = one

    def merged(self) -> Dict[str, List[Any]]:
        """All objects once: of two of one class that overlap, found in
        neighbouring parts, the surer one stays.

        Returns:
            dict: As :meth:`SRInferencer.__call__` has it, in SR pixels of the
            scene; ``at`` is where the masks begin, x and y.
        """
        keep = {
            at: np.ones(len(p['scores']), bool)
            for at, p in self._parts.items()
        }
        for (row, column), one in self._parts.items():
            for other_at in (
                (row, column - 1),
                (row - 1, column - 1),
                (row - 1, column),
                (row - 1, column + 1),
            ):
                other = self._parts.get(other_at)
                if other is None:
                    continue
                mine, theirs = np.nonzero(_same(one, other))
                weaker = one['scores'][mine] <= other['scores'][theirs]
                keep[row, column][mine[weaker]] = False
                keep[other_at][theirs[~weaker]] = False
        merged: Dict[str, List[Any]] = defaultdict(list)
        for at, part in self._parts.items():
            for key, values in part.items():
                merged[key].extend(values[keep[at]].tolist())
        return dict(merged)


def _same(
    one: Dict[str, np.ndarray], other: Dict[str, np.ndarray]
) -> np.ndarray:
    """Which pairs are of one object: bool, (n, m)."""
    a, b = one['bboxes'][:, None], other['bboxes'][None]
    inner = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(
        a[..., :2], b[..., :2]
    )
    shared = inner.clip(0).prod(axis=-1)
    areas = [(x[..., 2:] - x[..., :2]).prod(axis=-1) for x in (a, b)]
    alike = one['labels'][:, None] == other['labels'][None]
    return alike & (shared > IOU * (areas[0] + areas[1] - shared))
