"""Which ids or colours masks have, and what they mean."""

from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from sr4ir_mm.mistakes import few

from .folders import Folder, color_names
from .images import DataError
from .transforms import read_values

_IDS = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')  # Pillow's modes of one band
_RARE = 1e-5  # of all pixels: colours in between, at smoothed edges
_SPECK = 1e-4  # of a mask: smaller parts are no objects
_MOST = 255  # classes that a mask of 8 bits can hold
_LOOKED_AT = 100  # masks whose objects are measured


@dataclass
class MaskValues:
    """What masks hold.

    Args:
        values (list): Of each class, an id or a colour.
        classes (list[str]): Their names.
        palette (list): Their colours, where the files have any.
        sides (np.ndarray): Shorter sides of some objects, in pixels.
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
    counts, sides = Counter(), []
    step = -(-len(paths) // _LOOKED_AT)
    for number, path in enumerate(
        track(paths, 'Looking at the masks', transient=True)
    ):
        mask = read_values(path, colors)
        values, pixels = np.unique(mask, return_counts=True)
        counts.update(dict(zip(values.tolist(), pixels.tolist())))
        if number % step == 0:
            sides += _sides(mask, values)
    notes = []
    if colors:
        values = _colors(counts, folder.root, notes)
        named = color_names(folder.root)
        names = [named.get(v) for v in values]
        if 'P' in modes or 'L' in modes:
            notes.append('some masks have one band, others colours')
    else:
        values, names = _ids(counts, folder.classes, folder.root, notes)
    classes = [name or _name(value) for name, value in zip(names, values)]
    palette = [list(v) for v in values] if colors else None
    if set(modes) == {'P'}:
        palette = _palette(paths[0], values)
    return MaskValues(
        [list(v) if colors else v for v in values],
        classes,
        palette,
        np.array(sides),
        notes,
    )


def _mode(path: str) -> str:
    try:
        with Image.open(path) as image:
            return image.mode
    except OSError as error:
        raise DataError(f'{path} is damaged ({error}).') from error


def _colors(counts: Counter, root: str, notes: List[str]) -> List[tuple]:
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
    return [(code >> 16, code >> 8 & 255, code & 255) for code in sorted(kept)]


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
        notes.append(
            f'{len(names)} names, and ids up to {ids[-1]}: which is which is '
            'not known, so names are numbers'
        )
        named = {}
    return ids, [named.get(i) for i in ids]


def _name(value) -> str:
    if np.ndim(value):
        return '#{:02x}{:02x}{:02x}'.format(*value)
    return f'class {value}' if value else 'background'


def _palette(path: str, values: Sequence[int]) -> Optional[List[list]]:
    with Image.open(path) as image:
        colors = image.getpalette() or []
    found: Dict[int, list] = {
        i: colors[3 * i : 3 * i + 3]
        for i in values
        if len(colors) >= 3 * i + 3
    }
    return [found[i] for i in values] if len(found) == len(values) else None


def _sides(mask: np.ndarray, values: np.ndarray) -> List[int]:
    """Shorter sides of the connected parts of each class."""
    sides = []
    for value in values:
        part = (mask == value).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(part)
        for _, _, width, height, area in found[1:]:
            if area > _SPECK * mask.size:
                sides.append(int(min(width, height)))
    return sides
