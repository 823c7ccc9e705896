"""Predictions in plain values, as the toolboxes' inferencers return them."""

from typing import List, Optional, Sequence

import numpy as np

from sr4ir_mm.utils.labels import name_label


def plain_boxes(
    bboxes: List[List[float]],
    scores: List[float],
    labels: List[int],
    classes: Optional[Sequence[str]],
) -> dict:
    """What a detector finds in an image.

    Args:
        bboxes (list[list[float]]): Left, top, right and bottom, in pixels.
        scores (list[float]): One for each box.
        labels (list[int]): One for each box.
        classes (Sequence[str], optional): Names of labels. A label beyond
            them has its number for a name.
    """
    result = dict(bboxes=bboxes, scores=scores, labels=labels)
    if classes:
        result['label_names'] = [name_label(one, classes) for one in labels]
    return result


def plain_classes(
    scores: np.ndarray,
    labels: List[int],
    several: bool,
    classes: Optional[Sequence[str]],
) -> dict:
    """What a classifier says of an image.

    Args:
        scores (np.ndarray): Of each class, (classes,).
        labels (list[int]): Which of them the image has.
        several (bool): Whether it may have any number of them; if not, the
            first is given, not a list.
        classes (Sequence[str], optional): See :func:`plain_boxes`.
    """
    found = dict(
        pred_label=labels,
        pred_score=scores[labels].tolist(),
        pred_class=[name_label(label, classes) for label in labels],
    )
    if not several:
        found = {key: value[0] for key, value in found.items()}
    if not classes:
        del found['pred_class']
    return dict(found, pred_scores=scores)
