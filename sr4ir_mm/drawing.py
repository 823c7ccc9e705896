"""A prediction as a picture.

The toolboxes draw with matplotlib, or turn whole masks into lists of Python,
which takes as long as the networks do.
"""

import logging
import os.path as osp
import string
from functools import lru_cache
from importlib.util import find_spec
from typing import (
    Dict,
    FrozenSet,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sr4ir_mm.utils.labels import NO_LABEL, name_label, name_labels

MIN_SIDE = 256  # of pictures, but for those that would get longer than
MAX_SIDE = 2048
GAP = 8  # pixels between pictures
HEADING = 24  # pixels above a picture, at least
OPACITY = 0.5  # of what is drawn over a picture
MAX_CLASSES = 5  # of a classifier
PAD = 2  # pixels around words
SMALL = 0.005  # of a picture: a region without a name

Color = Tuple[int, int, int]


class Text(NamedTuple):
    """
    Args:
        x, y (int): Where it is, in pixels.
        words (str): What it says.
        back (tuple[int]): RGB of its background.
        anchor (str): What of it is there, as Pillow has it. Defaults to
            ``lt``: the left upper corner.
    """

    x: int
    y: int
    words: str
    back: Color
    anchor: str = 'lt'


def draw_result(
    lr: np.ndarray,
    sr: np.ndarray,
    prediction: Union[np.ndarray, dict],
    name: str = 'SR',
    dataset_meta: Optional[dict] = None,
    score_thr: float = 0.3,
) -> np.ndarray:
    """Draw, side by side, the LR image, the SR image, and the SR image with
    what is predicted, under headings; small images are enlarged, so that words
    fit in.

    Args:
        lr (np.ndarray): RGB, uint8, (h, w, 3).
        sr (np.ndarray): RGB, uint8, (H, W, 3).
        prediction (np.ndarray | dict): As in :meth:`SRInferencer.__call__`, in
            coordinates of the SR image.
        name (str): What the SR image is called. Defaults to ``SR``.
        dataset_meta (dict, optional): With ``classes`` and ``palette``, as far
            as they are known.
        score_thr (float): Score from which on boxes are drawn.
            Defaults to 0.3.

    Returns:
        np.ndarray: RGB, uint8.
    """
    short, long = sorted(sr.shape[:2])
    zoom = max(1, min(-(-MIN_SIDE // short), MAX_SIDE // long))
    size = sr.shape[1] * zoom, sr.shape[0] * zoom
    large = cv2.resize(sr, size, interpolation=cv2.INTER_NEAREST)
    if isinstance(prediction, np.ndarray):
        labels = cv2.resize(prediction, size, interpolation=cv2.INTER_NEAREST)
        drawn = draw_labels(large, labels, dataset_meta)
    elif 'bboxes' in prediction:
        drawn = draw_boxes(large, prediction, dataset_meta, score_thr, zoom)
    else:
        drawn = draw_classes(large, prediction)
    lr_large = cv2.resize(lr, size, interpolation=cv2.INTER_NEAREST)
    pictures = [
        _under_heading(lr_large, f'LR {lr.shape[1]} x {lr.shape[0]}'),
        _under_heading(large, f'{name} {sr.shape[1]} x {sr.shape[0]}'),
        _under_heading(drawn, 'prediction'),
    ]
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    lr, sr, drawn = pictures
    return np.concatenate([lr, gap, sr, gap, drawn], axis=1)


def draw_labels(
    image: np.ndarray, labels: np.ndarray, dataset_meta: Optional[dict]
) -> np.ndarray:
    """Colour each pixel as its label, and name each label on its largest
    region.

    Args:
        image (np.ndarray): RGB, uint8, (h, w, 3).
        labels (np.ndarray): uint8, (h, w).
        dataset_meta (dict, optional): See :func:`draw_result`.
    """
    meta = name_labels(dataset_meta, 256, ('classes', 'palette'))
    palette = np.array(meta['palette'][:256], np.uint8)
    drawn = cv2.addWeighted(
        image, 1 - OPACITY, palette.take(labels, axis=0), OPACITY, 0
    )
    # where there is no data, nothing is drawn
    few = len((dataset_meta or {}).get('classes') or ()) <= NO_LABEL
    if few:
        missing = labels == NO_LABEL
        drawn[missing] = image[missing]
    step = max(1, min(labels.shape) // 128)
    small = np.ascontiguousarray(labels[::step, ::step])
    texts = []
    for label in np.flatnonzero(np.bincount(small.ravel())):
        if label == NO_LABEL and few:
            continue
        _, regions, stats, _ = cv2.connectedComponentsWithStats(
            (small == label).view(np.uint8)
        )
        sizes = stats[1:, cv2.CC_STAT_AREA]
        if sizes.max() < SMALL * small.size:
            continue
        region = (regions == 1 + sizes.argmax()).view(np.uint8)
        inside = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, 3)
        x, y = cv2.minMaxLoc(inside)[3]  # of the pixel farthest from its rim
        x, y = (x - 1) * step, (y - 1) * step
        words = _write_as(meta['classes'][label], label)
        texts.append(Text(x, y, words, meta['palette'][label], 'mm'))
    return _write(drawn, texts)


def draw_boxes(
    image: np.ndarray,
    found: dict,
    dataset_meta: Optional[dict],
    score_thr: float,
    zoom: int = 1,
) -> np.ndarray:
    """Draw boxes and masks of objects, with their names and scores, the
    surest on top.

    Args:
        image (np.ndarray): RGB, uint8, (h, w, 3).
        found (dict): ``bboxes``, ``scores``, ``labels`` and perhaps ``masks``:
            see :meth:`SRInferencer.__call__`.
        dataset_meta (dict, optional): See :func:`draw_result`.
        score_thr (float): Score from which on they are drawn.
        zoom (int): By which ``image`` has been enlarged. Defaults to 1.
    """
    drawn, texts = image.copy(), []
    meta = name_labels(
        dataset_meta, 1 + max(found['labels'], default=0), ['palette']
    )
    if isinstance(meta['palette'], str):  # 'random', to mmdet
        meta = name_labels(dict(meta, palette=None), 256, ['palette'])
    order = np.argsort(found['scores'], kind='stable')
    width = max(1, min(image.shape[:2]) // 200)
    for i in order:
        if found['scores'][i] < score_thr:
            continue
        label = found['labels'][i]
        color = tuple(map(int, meta['palette'][label]))
        if 'masks' in found:
            _tint(drawn, found['masks'][i], color)
        left, top, right, bottom = (
            round(side * zoom) for side in found['bboxes'][i]
        )
        cv2.rectangle(drawn, (left, top), (right, bottom), color, width)
        name = _write_as(name_label(label, meta.get('classes')), label)
        words = f'{name}: {found["scores"][i]:.2f}'
        texts.append(Text(left, top, words, color))
    return _write(drawn, texts)


def draw_classes(image: np.ndarray, found: dict) -> np.ndarray:
    """Write down the classes of an image, and how sure they are, if they are
    predicted.

    Args:
        image (np.ndarray): RGB, uint8, (h, w, 3).
        found (dict): ``pred_label`` and perhaps ``pred_score`` and
            ``pred_class``: see :meth:`SRInferencer.__call__`.
    """
    labels = np.atleast_1d(found['pred_label']).tolist()
    names = np.atleast_1d(found.get('pred_class', labels)).tolist()
    lines = [_write_as(str(n), label) for n, label in zip(names, labels)]
    if 'pred_score' in found:
        scores = np.atleast_1d(found['pred_score'])
        best = np.argsort(-scores, kind='stable')
        lines = [f'{lines[i]}: {scores[i]:.2f}' for i in best]
    side = 2 * _text_size(image)
    texts = [
        Text(side // 4, side // 4 + i * side, line, (0,) * 3)
        for i, line in enumerate(lines[:MAX_CLASSES])
    ]
    return _write(image, texts)


def _tint(image: np.ndarray, mask: Dict[str, str], color: Color) -> None:
    """In place; the mask is run-length encoded, as COCO has it."""
    from pycocotools.mask import decode

    height, width = image.shape[:2]
    inside = cv2.resize(
        decode(mask), (width, height), interpolation=cv2.INTER_NEAREST
    ).astype(bool)
    tinted = image[inside] * (1 - OPACITY) + np.array(color) * OPACITY
    image[inside] = tinted.astype(np.uint8)


def _under_heading(picture: np.ndarray, title: str) -> np.ndarray:
    height, width = picture.shape[:2]
    heading = _heading(max(HEADING, height // 24), width, title)
    return np.concatenate([heading, picture])


@lru_cache(maxsize=16)  # images of a folder often have one size
def _heading(size: int, width: int, title: str) -> np.ndarray:
    heading = np.full((size, width, 3), 255, np.uint8)
    text = Text(size // 4, size // 2, title, (255,) * 3, 'lm')
    return _write(heading, [text], size * 2 // 3)


def _text_size(image: np.ndarray) -> int:
    return max(14, min(image.shape[:2]) // 32)


def _write(
    image: np.ndarray, texts: List[Text], size: Optional[int] = None
) -> np.ndarray:
    """Write texts of a height in pixels; they stay inside of the image."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    for text in texts:
        font = _font(size or _text_size(image), _letters(text.words))
        box = pen.textbbox(text[:2], text.words, font, text.anchor)
        right, down = (
            min(0, side - high - PAD) - min(0, low - PAD)
            for side, low, high in zip(picture.size, box[:2], box[2:])
        )
        at = text.x + right, text.y + down
        left, top, right, bottom = pen.textbbox(
            at, text.words, font, text.anchor
        )
        pen.rectangle(
            (left - PAD, top - PAD, right + PAD, bottom + PAD), fill=text.back
        )
        bright = np.dot(text.back, (0.299, 0.587, 0.114)) > 128
        fill = (0, 0, 0) if bright else (255, 255, 255)
        pen.text(at, text.words, fill, font, text.anchor)
    return np.asarray(picture)


@lru_cache(maxsize=None)
def _write_as(name: str, label: int) -> str:
    """The name of a label, or its number, where no font has the letters."""
    if _font_file(_letters(name)):
        return name
    _warn_of_boxes()
    return str(label)


@lru_cache(maxsize=None)
def _warn_of_boxes() -> None:
    logging.getLogger('sr4ir_mm').warning(
        'Numbers of classes are drawn where no font of this system has the '
        'letters of their names: install one, such as Noto Sans CJK.'
    )


def _letters(words: str) -> FrozenSet[str]:
    """Those that not all fonts have."""
    return frozenset(filter(str.isprintable, words)) - {*string.printable}


@lru_cache(maxsize=None)
def _font(size: int, letters: FrozenSet[str]) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file(letters) or _font_file(()), size)


@lru_cache(maxsize=None)
def _font_file(letters: FrozenSet[str]) -> Optional[str]:
    """Matplotlib's, which has the letters of most alphabets, or the first of
    the system that has these."""
    folder = osp.dirname(find_spec('matplotlib').origin)
    path = osp.join(folder, 'mpl-data/fonts/ttf/DejaVuSans.ttf')
    if _has(path, letters):
        return path
    from matplotlib.font_manager import findSystemFonts

    fonts = sorted(findSystemFonts())
    return next((font for font in fonts if _has(font, letters)), None)


def _has(path: str, letters: Iterable[str]) -> bool:
    """Whether a font draws none of these as what it has for all others."""
    try:
        font = ImageFont.truetype(path, 20)
        unknown = _shape(font, '\U0010ffff')
        return all(_shape(font, letter) != unknown for letter in letters)
    except OSError:  # of another kind, or damaged
        return False


def _shape(font: ImageFont.FreeTypeFont, letter: str) -> Tuple[tuple, bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
