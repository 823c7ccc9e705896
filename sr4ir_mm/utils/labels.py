"""Names and colours of labels, and names of views."""

from functools import lru_cache
from typing import Optional, Sequence, Tuple

import numpy as np

NO_LABEL = 255  # of a pixel that is ignored, or has no data


def name_label(label: int, classes: Optional[Sequence[str]]) -> str:
    """Its number, where it has no name."""
    return classes[label] if classes and label < len(classes) else str(label)


def name_labels(
    dataset_meta: Optional[dict], num: int, needed: Sequence[str] = ()
) -> dict:
    """Names and colours for this many labels: those that there are, then
    numbers and random colours.

    Args:
        dataset_meta (dict, optional): With ``classes`` and ``palette``, if
            they are known.
        num (int): How many labels.
        needed (Sequence[str]): Which of the two to make up where there is
            none at all.
    """
    meta = dict(dataset_meta or {})
    made_up = dict(classes=[*map(str, range(num))], palette=_colors(num))
    for key, values in made_up.items():
        known = meta.get(key) or ()
        if not isinstance(known, str) and (known or key in needed):
            meta[key] = [*known, *values[len(known) :]]
    if isinstance(meta.get('palette'), list):
        # mmdet takes no lists for colours
        meta['palette'] = [tuple(color) for color in meta['palette']]
    return meta


@lru_cache(maxsize=None)
def _colors(num: int) -> Tuple[Tuple[int, int, int], ...]:
    rng = np.random.default_rng(0)
    return tuple(map(tuple, rng.integers(0, 256, (num, 3)).tolist()))


def name_view(view: str) -> str:
    """The heading of the picture that is predicted from."""
    return dict(bilinear=view, shared='SR').get(view, view.upper())
