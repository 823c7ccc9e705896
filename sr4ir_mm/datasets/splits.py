"""Parts of a data set for training, validation and test, where it has none."""

import random
from collections import defaultdict
from typing import Any, Dict, List, Sequence, Tuple

from sr4ir_mm.utils.images import DataError

from .folders import Folder

SHARES = dict(train=0.7, val=0.15, test=0.15)
_SEED = 0


def complete_splits(folder: Folder) -> str:
    """Give a folder the splits that it lacks.

    Args:
        folder (Folder): What was found; its ``splits`` are changed.

    Returns:
        str: Where its splits are from, in words.

    Raises:
        DataError: If there is too little to split, or nothing to train on.
    """
    splits = folder.splits
    loose = splits.pop('', [])
    if loose and splits:
        folder.notes.append(
            f'{len(loose)} images lie in no part (train, val, test), and are '
            'left out'
        )
    if not splits or set(splits) == {'train'}:
        everything = splits.get('train') or loose
        if len(everything) < 3:
            raise DataError(
                f'{folder.root}: {len(everything)} labelled images are too '
                'few for training, validation and test.'
            )
        folder.splits = split_by_class(everything, folder.task, SHARES)
        return f'split here by class, seed {_SEED}'
    if 'train' not in splits:
        raise DataError(
            f'{folder.root}: it has the parts {", ".join(splits)}, and none '
            'for training: name one train.'
        )
    if 'val' not in splits:
        share = SHARES['val'] / (1 - SHARES['test'])
        shares = dict(train=1 - share, val=share)
        splits.update(split_by_class(splits['train'], folder.task, shares))
        return f'splits as found; val is taken of train by class, seed {_SEED}'
    return 'splits as found'


def split_by_class(
    samples: Sequence[Tuple[str, Any]], task: str, shares: Dict[str, float]
) -> Dict[str, List[Tuple[str, Any]]]:
    """Split images so that each part has its share of each class.

    Args:
        samples (Sequence[tuple]): Images with their labels.
        task (str): Theirs: an image with boxes counts for the rarest class in
            it; masks are split as they come.
        shares (dict[str, float]): Of each part; they sum up to 1.
    """
    counts = defaultdict(int)
    for _, label in samples:
        for name in _classes_of(label, task):
            counts[name] += 1
    groups = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample[0]):
        names = _classes_of(sample[1], task)
        groups[min(names, key=counts.get, default=-1)].append(sample)
    parts = {name: [] for name in shares}
    draw = random.Random(_SEED)
    for name in sorted(groups):
        draw.shuffle(groups[name])
        number = dict.fromkeys(shares, 0)
        for sample in groups[name]:
            # the part that has least of what it should have of this class
            part = min(shares, key=lambda p: (number[p] + 0.5) / shares[p])
            number[part] += 1
            parts[part].append(sample)
    return parts


def _classes_of(label: Any, task: str) -> set:
    if task == 'det':
        return {item['label'] for item in label}
    return {label} if task == 'cls' else {0}
