"""Which ids or colours masks have, and what they mean."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.mistakes import few

from .folders import Folder, color_names
from .transforms import read_values

_IDS = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')  # Pillow's modes of one band
_RARE = 1e-5  # of all pixels: colours in between, at smoothed edges
_VOID = 'void ignore ignored unlabeled unlabelled'.split()
_MOST = 255  # classes that a mask of 8 bits can hold
_LOOKED_AT = 100  # masks whose objects are measured


@dataclass
class MaskValues:
    """What masks hold.

    Args:
        values (list): Of each class, an id or a colour.
        classes (list[str]): Their names.
        palette (list): Their colours, where the files have any.
        sides (np.ndarray): Of each class, how large its parts are, in pixels.
        notes (list[str]): What is ignored, and why.
    """

    values: list
    classes: List[str]
    palette: Optional[List[list]]
    sides: np.ndarray
    notes: List[str]

    @property
    def plain(self) -> bool:
        """Whether mmseg's ``LoadAnnotations`` reads them as they are."""
        return self.values == list(range(len(self.values)))


def read_masks(folder: Folder) -> MaskValues:
    """Look at all masks of a folder."""
    paths = [
        folder.path(mask)
        for samples in folder.splits.values()
        for _, mask in samples
    ]
    modes = Counter(_mode(path) for path in paths)
    colors = any(mode not in _IDS for mode in modes)
    counts, parts = Counter(), defaultdict(list)
    step = -(-len(paths) // _LOOKED_AT)
    for number, path in enumerate(
        track(paths, 'Looking at the masks', transient=True)
    ):
        mask = read_values(path, colors)
        values, pixels = np.unique(mask, return_counts=True)
        counts.update(dict(zip(values.tolist(), pixels.tolist())))
        if number % step == 0:
            for value, found in _sides(mask).items():
                parts[value] += found
    notes = []
    if colors:
        named = color_names(folder.root)
        values = _colors(counts, folder.root, named, notes)
        names = [named.get(v) for v in values]
        if 'P' in modes or 'L' in modes:
            notes.append('some masks have one band, others colours')
    else:
        values, names = _ids(counts, folder.classes, folder.root, notes)
    classes = [name or _name(v, values) for name, v in zip(names, values)]
    if not all(names) and len(values) > 2:
        notes.append(
            'classes have numbers for names: write names into classes.txt in '
            f'the folder, {len(values)} lines in the order of the ids, and '
            'run this again'
        )
    palette = [list(v) for v in values] if colors else None
    if set(modes) == {'P'}:
        palette = _palette(paths[0], values)
    folder.format = 'colours' if colors else 'ids'
    return MaskValues(
        [list(v) if colors else v for v in values],
        classes,
        palette,
        np.array([_typical(found) for found in parts.values()]),
        notes,
    )


def _mode(path: str) -> str:
    try:
        with Image.open(path) as image:
            return image.mode
    except OSError as error:
        raise DataError(f'{path} is damaged ({error}).') from error


def _colors(
    counts: Counter, root: str, named: Dict[tuple, str], notes: List[str]
) -> List[tuple]:
    total = sum(counts.values())
    kept = [code for code in counts if counts[code] >= _RARE * total]
    if len(kept) > _MOST:
        raise DataError(
            f'{root}: its masks have {len(counts):,} colours. Masks have one '
            'colour a class: save them without smoothing, and as PNG.'
        )
    if len(kept) < len(counts):
        notes.append(
            f'{len(counts) - len(kept)} colours with less than 1 of 100,000 '
            'pixels each are ignored, as those of smoothed edges'
        )
    colors = [(x >> 16, x >> 8 & 255, x & 255) for x in sorted(kept)]
    for color in list(colors):
        if str(named.get(color)).lower() in _VOID:
            colors.remove(color)
            notes.append(f'pixels of {named[color]!r} are ignored')
    order = list(named)  # that of the file which names them
    return sorted(colors, key=lambda x: order.index(x) if x in named else 999)


def _ids(
    counts: Counter, names: Sequence[str], root: str, notes: List[str]
) -> tuple:
    ids = sorted(counts)
    if 255 in ids and len(ids) > 2:
        ids.remove(255)
        notes.append('pixels of 255 are ignored')
    if len(ids) > _MOST:
        raise DataError(
            f'{root}: its masks have {len(ids)} ids, {few(ids, 5)}, and mmseg '
            f'knows {_MOST} classes: are these ids of objects, not of classes?'
        )
    first = 0
    if names and ids[-1] == len(names):  # counted from 1
        first = 1
        if 0 in ids:
            ids.remove(0)
            notes.append('pixels of 0 are ignored: names begin with id 1')
    named = dict(enumerate(names, first))
    if names and ids[-1] not in named:
        if len(names) == len(ids):
            return ids, list(names)
        notes.append(
            f'{len(names)} names, and {len(ids)} ids up to {ids[-1]}: which '
            'is which is not known, so names are numbers'
        )
        named = {}
    return ids, [named.get(i) for i in ids]


def _name(value, values: Sequence) -> str:
    if np.ndim(value):
        return '#{:02x}{:02x}{:02x}'.format(*value)
    if len(values) == 2 and values[0] == 0:
        return 'foreground' if value else 'background'
    return f'class {value}'


def _palette(path: str, values: Sequence[int]) -> Optional[List[list]]:
    with Image.open(path) as image:
        colors = image.getpalette() or []
    found: Dict[int, list] = {
        i: colors[3 * i : 3 * i + 3]
        for i in values
        if len(colors) >= 3 * i + 3
    }
    return [found[i] for i in values] if len(found) == len(values) else None


def _sides(mask: np.ndarray) -> Dict[int, List[tuple]]:
    """Sides, as the roots of their areas, and areas of each value's parts."""
    sides = {}
    for value in np.unique(mask).tolist():
        part = (mask == value).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(part)
        areas = found[1:, cv2.CC_STAT_AREA].tolist()
        sides[value] = [(area**0.5, area) for area in areas]
    return sides


def _typical(parts: Sequence[tuple]) -> float:
    """The side of the part that a pixel lies in, half of the time."""
    sides, areas = np.array(sorted(parts)).T
    middle = np.searchsorted(areas.cumsum(), areas.sum() / 2)
    return float(sides[middle])
