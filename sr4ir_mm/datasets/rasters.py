"""Transforms of rasters: images of any bands and bits, read in windows."""

from typing import Optional, Sequence, Tuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from sr4ir_mm.registry import TRANSFORMS
from sr4ir_mm.utils.images import DataError, ImageHeader
from sr4ir_mm.utils.labels import NO_LABEL
from sr4ir_mm.utils.rasters import GDALRaster, Raster, Window, open_raster


@TRANSFORMS.register_module()
class LoadRasterFromFile(BaseTransform):
    """Load an image of any number of bands and bits: ``img``, (H, W, C), of
    the file's own dtype (:func:`widen`).

    In the place of ``LoadImageFromFile``, in any pipeline of mmseg, mmdet or
    mmpretrain. It reads what GDAL does (TIFF, PNG, JPEG 2000 ...), NumPy's
    ``.npy`` and DICOM, see :func:`sr4ir_mm.utils.rasters.open_raster`. Bands
    stay in the order of the file, which is RGB, not BGR, if there are three:
    ``model.bands`` says what they are.

    Where a band has no data (the file's nodata value, its mask, NaN), it has
    ``fill``. Where no band has any, ``nodata`` of the results is true, for
    :class:`LoadRasterAnnotations` and :class:`IgnoreNodata`.

    Args:
        bands (Sequence[int], optional): Which to read, and in which order; the
            first is 1, as GDAL counts. Defaults to None: all.
        window (tuple[int, int], optional): Height and width of a random part,
            which is all that is read of the file: for training, in the place
            of ``RandomCrop``. Of a smaller image it is what there is. Boxes
            are cut to it. Defaults to None: the whole image.
        align (int): Windows begin at multiples of it: ``scale``, where LR
            images are files, too. Defaults to 1.
        fill (float): What stands where there is no data. Defaults to 0.
    """

    def __init__(
        self,
        bands: Optional[Sequence[int]] = None,
        window: Optional[Tuple[int, int]] = None,
        align: int = 1,
        fill: float = 0,
    ) -> None:
        if window is not None and np.shape(window) != (2,):
            raise ValueError(
                f'LoadRasterFromFile.window={window!r}: expected height and '
                'width, as in (512, 512).'
            )
        self.bands = bands
        self.window = window
        self.align = align
        self.fill = fill

    def transform(self, results: dict) -> dict:
        """See :class:`mmcv.transforms.LoadImageFromFile`; with ``window``, the
        results have ``raster_window``, too."""
        with open_raster(results['img_path']) as raster:
            self._check(raster)
            window = None
            if 'hr' in results:  # of LoadLRImageFromFile
                window = _shrink(*results['hr'], raster)
            elif self.window is not None:
                window = self.draw_window(raster.height, raster.width)
                results['raster_window'] = window
                results['raster_shape'] = raster.height, raster.width
                if 'instances' in results:
                    results['instances'] = _cut(results['instances'], window)
            image, missing = raster.read(self.bands, window, self.fill)
        results['img'] = widen(image)
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        results.pop('nodata', None)
        if missing is not None:
            results['nodata'] = missing.all(axis=2)
        return results

    def read_header(self, path: str) -> ImageHeader:
        """What an image is, as far as this reads it.

        Raises:
            DataError: If it cannot be read, which it is not.
        """
        with open_raster(path) as raster:
            bands = self._check(raster)
            bits = raster.dtype.itemsize * 8
            return ImageHeader(raster.width, raster.height, len(bands), bits)

    def read_missing(
        self, path: str, window: Optional[Window] = None
    ) -> Optional[np.ndarray]:
        """Where an image has no data in any band: bool, (h, w), or None if it
        has some everywhere.

        Args:
            path (str): The file.
            window (Window, optional): Of which part. Defaults to all.
        """
        with open_raster(path) as raster:
            bands = self._check(raster)
            if not raster.may_lack_data(bands):
                return None  # nothing is read
            _, missing = raster.read(bands, window)
        return None if missing is None else missing.all(axis=2)

    def _check(self, raster: Raster) -> Sequence[int]:
        bands = raster.check_bands(self.bands)
        for band in bands:
            if isinstance(raster, GDALRaster) and raster.has_palette(band):
                raise DataError(
                    f'{raster.path}: the values of band {band} are numbers of '
                    'colours in a palette: save it as RGB (gdal_translate '
                    '-expand rgb).'
                )
        return bands

    def draw_window(self, height: int, width: int) -> Window:
        """Draw a part of an image, each with the same probability."""
        sides = [min(pair) for pair in zip(self.window, (height, width))]
        starts = [
            np.random.randint((whole - side) // self.align + 1) * self.align
            for whole, side in zip((height, width), sides)
        ]
        return Window(*starts, *sides)


def widen(image: np.ndarray) -> np.ndarray:
    """An image in a dtype that PyTorch has: 2.1 has no uint16, whose values
    are in int32, too."""
    if hasattr(torch, image.dtype.name):
        return image
    return image.astype(np.promote_types(image.dtype, np.int8))


def _shrink(shape: Tuple[int, int], window: Window, lr: Raster) -> Window:
    """The window of an LR image that shows what one of the HR image does."""
    factor = round(shape[0] / lr.height)
    if any(start % factor for start in window[:2]):
        raise DataError(
            f'{lr.path}: {window} of the HR image begin in the middle of an '
            f'LR pixel: say LoadRasterFromFile(window=..., align={factor}).'
        )
    top, left, height, width = (side // factor for side in window)
    height, width = min(height, lr.height - top), min(width, lr.width - left)
    return Window(top, left, height, width)


def _cut(instances: Sequence[dict], window: Window) -> list:
    """Those of an image's objects that reach into a window, in its pixels."""
    corner = np.array([window.left, window.top] * 2)
    size = np.array([window.width, window.height] * 2)
    kept = []
    for instance in instances:
        if 'mask' in instance:
            raise ValueError(
                'LoadRasterFromFile.window cuts boxes, and no masks of '
                'objects: leave it out, and crop behind LoadAnnotations.'
            )
        box = np.clip(np.subtract(instance['bbox'], corner), 0, size)
        if (box[2:] > box[:2]).all():
            kept.append(dict(instance, bbox=box.tolist()))
    return kept


@TRANSFORMS.register_module()
class LoadRasterAnnotations(BaseTransform):
    """Load the labels of pixels of a segmentation from a raster:
    ``gt_seg_map``, uint8, (H, W).

    In the place of mmseg's ``LoadAnnotations``: of the same window as
    :class:`LoadRasterFromFile` before it, with ignored labels where the image
    has no data, and where the raster of labels declares to have none.

    Args:
        band (int): Which band of the file has them; the first is 1.
            Defaults to 1.
    """

    def __init__(self, band: int = 1) -> None:
        self.band = band

    def transform(self, results: dict) -> dict:
        path = results['seg_map_path']
        with open_raster(path) as raster:
            expected = results.get('raster_shape')
            if expected not in (None, (raster.height, raster.width)):
                raise DataError(
                    f'{path} has {raster.height} x {raster.width} labels, '
                    'and {} {} x {} pixels: they must lie on one grid.'.format(
                        results['img_path'], *expected
                    )
                )
            labels, missing = raster.read(
                [self.band], results.get('raster_window')
            )
        labels = labels[..., 0].astype(np.int64)
        if results.get('reduce_zero_label'):
            labels = np.where(labels == 0, NO_LABEL, labels - 1)
            labels[labels == NO_LABEL - 1] = NO_LABEL
        if results.get('label_map'):
            old = labels.copy()
            for before, after in results['label_map'].items():
                labels[old == before] = after
        if missing is not None:
            labels[missing[..., 0]] = NO_LABEL
        if labels.size and not 0 <= labels.min() <= labels.max() <= NO_LABEL:
            raise DataError(
                f'{path} has labels from {labels.min()} to {labels.max()}: '
                f'expected 0 to {NO_LABEL - 1}, and {NO_LABEL} for what is '
                'ignored.'
            )
        results['gt_seg_map'] = labels.astype(np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return IgnoreNodata().transform(results)


@TRANSFORMS.register_module()
class IgnoreNodata(BaseTransform):
    """Ignore the labels of pixels where an image has no data.

    For labels that another transform loads: behind it, and before anything
    that crops, flips or resizes. :class:`LoadRasterAnnotations` does it by
    itself.
    """

    def transform(self, results: dict) -> dict:
        if 'nodata' in results:
            labels = results['gt_seg_map']
            if labels.shape != results['nodata'].shape:
                raise ValueError(
                    f'{results.get("seg_map_path")}: {labels.shape} labels, '
                    f'and an image of {results["nodata"].shape}: IgnoreNodata '
                    'goes before what crops or resizes.'
                )
            labels = np.where(results['nodata'], NO_LABEL, labels)
            results['gt_seg_map'] = labels.astype(np.uint8)
        return results
