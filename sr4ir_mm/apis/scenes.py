"""Scenes: images that are too large for the memory, part by part."""

import logging
from pathlib import Path
from threading import Lock
from typing import (
    TYPE_CHECKING,
    Any,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from sr4ir_mm.utils.bands import PICTURES, Bands
from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.rasters import GDALRaster, Raster, Window, open_raster

if TYPE_CHECKING:
    from .inferencer import Inferencer

SUFFIXES = ('.tif', '.tiff', '.jp2', '.vrt', '.img')


def is_scene(path: Any, reads_rasters: bool) -> bool:
    """Whether an input is a scene.

    Args:
        path (Any): The input: a path, or something else.
        reads_rasters (bool): Whether the model was trained on rasters; if
            not, scenes are the files that say where on earth they are.
    """
    if not isinstance(path, (str, Path)) or '://' in str(path):
        return False
    if reads_rasters:
        return True
    if not str(path).lower().endswith(SUFFIXES):
        return False
    try:
        with open_raster(str(path)) as raster:
            return isinstance(raster, GDALRaster) and raster.is_map
    except (DataError, ImportError, OSError):
        return False  # what is wrong with it, reading it as an image says


def warn_of_range(
    name: str, bands: Bands, lowest: np.ndarray, highest: np.ndarray
) -> None:
    """Warn of an image whose values do not fit the range that the model was
    trained for.

    Args:
        name (str): Of the image.
        bands (Bands): Of the model.
        lowest, highest (np.ndarray): Of its bands.
    """
    text = bands.misfit(lowest, highest)
    darkness = bands.darkness(highest)
    if not text and darkness:
        text = f'is unlike the images of the training: its values {darkness}'
    if text:
        logging.getLogger('sr4ir_mm').warning(f'{name} {text}.')


class Part:
    """What the networks see of a scene at once.

    Args:
        scene (Scene): The scene.
        row (int): Its place among the parts.
        column (int): Likewise.
        seen (Window): In LR pixels.
        kept (Window): Of which the prediction counts.
    """

    def __init__(
        self, scene: 'Scene', row: int, column: int, seen: Window, kept: Window
    ) -> None:
        self.scene = scene
        self.row, self.column = row, column
        self.seen, self.kept = seen, kept
        self.name = f'{scene.raster.path}, {kept}'
        self.missing: Optional[np.ndarray] = None
        self.values: Optional[np.ndarray] = None

    def read(self) -> np.ndarray:
        """Its pixels, as the networks take them; what is kept of them stays
        at hand."""
        values, missing = self.scene.read(self.seen)
        inside = self.inside(1)
        self.values = values[inside]
        self.missing = None if missing is None else missing[inside]
        return self.scene.as_input(values)

    def inside(self, scale: int) -> Tuple[slice, slice]:
        """Where the kept part lies in the one that is seen."""
        top = self.kept.top - self.seen.top
        left = self.kept.left - self.seen.left
        return (
            slice(top * scale, (top + self.kept.height) * scale),
            slice(left * scale, (left + self.kept.width) * scale),
        )


class Scene:
    """A raster as a model takes it.

    Args:
        raster (Raster): The file, open.
        inferencer (Inferencer): What predicts.
        bands (Sequence[int], optional): Which of the file's bands, from 1 on.
            Defaults to what the model was trained with.

    Raises:
        DataError: If the file is not like that.
    """

    def __init__(
        self,
        raster: Raster,
        inferencer: 'Inferencer',
        bands: Optional[Sequence[int]],
    ) -> None:
        self.raster = raster
        self.model_bands = inferencer.bands
        self.of_model = inferencer.bands or PICTURES
        loader = inferencer.loader
        self.fill = loader.get('fill', 0)
        self.bands = self._choose(bands or loader.get('bands'))
        self.has_mask = isinstance(raster, GDALRaster) and raster.has_mask(
            self.bands
        )
        self._lock = Lock()
        self._lowest, self._highest = np.inf, -np.inf
        most = max(self.of_model.high)
        whole = raster.dtype.kind in 'ui'
        if self.model_bands is None and raster.dtype != np.uint8:
            raise DataError(
                f'{raster.path} has values of {raster.dtype}, and the model '
                'takes 8 bits: train it on rasters (model.bands, '
                'LoadRasterFromFile), or convert the file.'
            )
        if whole and np.iinfo(raster.dtype).max < most:
            raise DataError(
                f'{raster.path} has values of {raster.dtype}, and model.bands.'
                f'range of the model is up to {most}: all would be dark.'
            )
        if getattr(raster, 'has_points', False):
            raise DataError(
                f'{raster.path} is placed by ground control points or RPCs, '
                'which do not make a grid: make one (gdalwarp) and predict '
                'from that.'
            )

    def _choose(self, bands: Optional[Sequence[int]]) -> List[int]:
        raster = self.raster
        number = self.of_model.number
        if bands is None:
            bands = raster.check_bands(None)
            if len(bands) == number + 1:
                alpha = getattr(raster, 'alpha', None)
                bands = [band for band in bands if band != alpha]
        bands = list(raster.check_bands(bands))
        grey = self.model_bands is None and len(bands) == 1
        if len(bands) != number and not grey:
            raise DataError(
                f'{raster.path} has {raster.count} bands, of which {bands} '
                f'are meant, and the model takes {number}: say which, e.g. '
                f'--bands {" ".join(map(str, range(1, number + 1)))}.'
            )
        return bands

    def read(self, window: Window) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        """See :meth:`Raster.read`; one thread at a time."""
        with self._lock:
            values, missing = self.raster.read(self.bands, window, self.fill)
            if self.model_bands is not None:
                lowest, highest = self.model_bands.ends(values, missing)
                self._lowest = np.minimum(self._lowest, lowest)
                self._highest = np.maximum(self._highest, highest)
        return values, missing

    def warn(self) -> None:
        """Of values, among those that have been read, that do not fit the
        model's range."""
        if self.model_bands is not None:
            warn_of_range(
                self.raster.path, self.model_bands, self._lowest, self._highest
            )

    def as_input(self, values: np.ndarray) -> np.ndarray:
        """In the order of bands that the inferencer takes."""
        if self.model_bands is not None:
            return values
        return np.ascontiguousarray(
            np.broadcast_to(values[..., ::-1], (*values.shape[:2], 3))
        )

    def as_file(self, image: np.ndarray) -> np.ndarray:
        """An image in [0, 1], (C, h, w), in values of the file, (h, w, C);
        whole numbers are rounded, and stay inside of the model's range."""
        dtype = self.raster.dtype
        if dtype.kind == 'f':
            values = self.of_model.from_unit(image)
        else:
            values = np.rint(self.of_model.from_unit(image.clip(0, 1)))
            info = np.iinfo(dtype)
            values = values.clip(info.min, info.max)
        return values.astype(dtype).transpose(1, 2, 0)

    def parts(
        self,
        kept: Optional[Tuple[int, int]],
        margin: int,
        seen: Optional[Tuple[int, int]] = None,
    ) -> Iterator[Part]:
        """Cut it into parts, row by row.

        Args:
            kept (tuple[int, int], optional): Height and width of what is kept
                of a part; None for all at once.
            margin (int): Pixels round it that are seen, too.
            seen (tuple[int, int], optional): Height and width that are seen
                of each, at the border, too. Defaults to what there is.

        Raises:
            DataError: If the scene is smaller than that.
        """
        whole = np.array([self.raster.height, self.raster.width])
        if seen is not None and (seen > whole).any():
            raise DataError(
                '{} has {} x {} pixels, and the model takes {} x {} '
                'alone.'.format(self.raster.path, *whole, *seen)
            )
        kept = tuple(whole) if kept is None else kept
        for row, top in enumerate(range(0, whole[0], kept[0])):
            for column, left in enumerate(range(0, whole[1], kept[1])):
                start = np.array([top, left])
                end = np.minimum(start + kept, whole)
                first = np.maximum(start - margin, 0)
                last = np.minimum(end + margin, whole)
                if seen is not None:
                    first = np.minimum(first, whole - seen)
                    last = first + seen
                yield Part(
                    self,
                    row,
                    column,
                    _between(first, last),
                    _between(start, end),
                )


def _between(start: np.ndarray, end: np.ndarray) -> Window:
    return Window(*start.tolist(), *(end - start).tolist())
