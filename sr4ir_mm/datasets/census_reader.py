"""What a census reads: images and labels of a data set, one by one."""

import copy
import os.path as osp
from typing import TYPE_CHECKING, Optional, Set, Tuple

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image

from sr4ir_mm.utils.images import (
    DataError,
    check_whole,
    lost_values,
    message,
    read_header,
    require_file,
)
from sr4ir_mm.utils.labels import NO_LABEL
from sr4ir_mm.utils.rasters import Window

from .rasters import (
    IgnoreNodata,
    LoadRasterAnnotations,
    LoadRasterFromFile,
)
from .transforms import LoadAnnotationsByValue, VOCBoxesAsCOCO

if TYPE_CHECKING:
    from .census import Census

_MIDDLE = 4096  # pixels per side that are read of a raster of labels
_OFF = 2  # pixels by which a declared size may be wrong without harm


class CensusReader:
    """Reads images and labels of a data set, and notes what is wrong.

    Args:
        dataset (BaseDataset): The data set.
        name (str): Of its data loader.
        scale (int): Factor between LR and HR.
        ignored (set[int]): Ids of masks that losses ignore.
    """

    def __init__(
        self, dataset: BaseDataset, name: str, scale: int, ignored: Set[int]
    ) -> None:
        self.dataset = dataset
        self.name = name
        self.scale = scale
        self.ignored = ignored
        self.classes = list((dataset.metainfo or {}).get('classes') or ())
        self.palette = (dataset.metainfo or {}).get('palette')
        transforms = getattr(dataset.pipeline, 'transforms', [])
        loaders = [
            t
            for t in transforms
            if 'LoadAnn' in type(t).__name__
            or isinstance(t, LoadRasterAnnotations)
        ]
        self.load = loaders[0] if loaders else None
        rasters = [t for t in transforms if isinstance(t, LoadRasterFromFile)]
        self.raster = rasters[0] if rasters else None
        self.ignores_nodata = any(
            isinstance(t, (LoadRasterAnnotations, IgnoreNodata))
            for t in transforms
        )
        self.convert = [t for t in transforms if isinstance(t, VOCBoxesAsCOCO)]
        self.drops_boxes = any(
            type(t).__name__ == 'FilterAnnotations' for t in transforms
        )

    @property
    def source(self) -> str:
        """The file or folder that lists the images."""
        prefix = self.dataset.data_prefix or {}
        folders = [value for value in prefix.values() if value]
        return (
            self.dataset.ann_file
            or (folders[0] if folders else '')
            or self.dataset.data_root
            or ''
        )

    def read(self, info: dict, census: 'Census') -> None:
        """Add an image to a census.

        Args:
            info (dict): What the data set knows of it.
            census (Census): To add it to.
        """
        path, size = info.get('img_path'), None
        if isinstance(path, str) and '://' not in path:
            size = self._read_image(path, info, census)
        try:
            if isinstance(info.get('instances'), list):
                census.task = 'det'
                self._read_boxes(info, size, census)
            elif info.get('seg_map_path'):
                census.task = 'seg'
                self._read_mask(info, size, census)
            elif 'gt_label' in info:
                census.task = 'cls'
                self._read_labels(info, census)
        except DataError as error:
            census.error('label', str(error))
        except Exception as error:
            file = info.get('seg_map_path') or path
            census.error('label', f'{file}: {message(error)}')

    def _read_image(
        self, path: str, info: dict, census: 'Census'
    ) -> Optional[Tuple[int, int]]:
        """Look at an image file; its width and height."""
        try:
            if self.raster is not None:
                header = self.raster.read_header(path)
            else:
                header = read_header(path)
                check_whole(path)
            if header is None:
                census.formats['unknown'] += 1
                return None
        except (DataError, FileNotFoundError) as error:
            census.error('file' if osp.exists(path) else 'missing', str(error))
            return None
        lost = self.raster is None and lost_values(path, header)
        if lost:
            census.error('values', f'{path} {lost}')
        width, height = header.width, header.height
        census.sizes[f'{width}x{height}'] += 1
        census.formats[f'{header.bands} x {header.bits} bits'] += 1
        if min(width, height) < self.scale:
            census.error(
                'tiny',
                f'{path}: an image of {width}x{height} pixels is smaller than '
                f'model.scale={self.scale}. Leave it out.',
            )
        declared = info.get('width'), info.get('height')
        if None not in declared and declared != (width, height):
            text = (
                f'{path}: the image is {width}x{height}, the annotation for '
                f'{declared[0]}x{declared[1]}'
            )
            if header.turned and declared == (height, width):
                census.error(
                    'turned',
                    f'{text}: perhaps it is rotated by its EXIF entry, and '
                    'the boxes are not.',
                )
            elif max(abs(declared[0] - width), abs(declared[1] - height)) > (
                _OFF
            ):
                census.error(
                    'size',
                    f'{text} ({census.source}): its boxes are those of '
                    'another image. Correct either.',
                )
            else:
                census.warn('size', f'{text}.')
        return width, height

    def _read_boxes(
        self, info: dict, size: Optional[Tuple[int, int]], census: 'Census'
    ) -> None:
        for transform in self.convert:
            info = transform(info)
        instances = info['instances']
        census.ignored += sum(bool(x.get('ignore_flag')) for x in instances)
        census.counts.update(
            x['bbox_label'] for x in instances if not x.get('ignore_flag')
        )
        if not instances:
            return
        boxes = np.array([x['bbox'] for x in instances], dtype=float)
        if boxes.ndim != 2 or boxes.shape[1] != 4:  # rotated ones, say
            return
        left, top, right, bottom = boxes.T
        sides = np.minimum(right - left, bottom - top) / self.scale
        for i, limit in enumerate((1, 2)):
            census.small[i] += int((sides < limit).sum())
        good = (right > left) & (bottom > top) & (right > 0) & (bottom > 0)
        if size is not None:
            good &= (left < size[0]) & (top < size[1])
        if not good.all() and not self.drops_boxes:
            census.error(
                'box',
                f'{info.get("img_path")}: box {boxes[~good][0].tolist()} has '
                'no area in an image of '
                f'{"x".join(map(str, size or ("?", "?")))}. Mend the '
                'annotation, or drop such boxes: put '
                "dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)) "
                'behind LoadAnnotations.',
            )
        if getattr(self.load, 'with_mask', False):
            bare = [x['bbox'] for x in instances if not x.get('mask')]
            if bare:
                census.error(
                    'no mask',
                    f'{census.source}: the box {bare[0]} of '
                    f'{info.get("img_path")} has no segmentation, which '
                    'LoadAnnotations(with_mask=True) needs.',
                )

    def _read_mask(
        self, info: dict, size: Optional[Tuple[int, int]], census: 'Census'
    ) -> None:
        path = info['seg_map_path']
        if '://' not in path:
            if not osp.exists(path):
                census.error(
                    'no label',
                    f'{path}: there is no such mask, of {info["img_path"]}.',
                )
                return
            require_file(path)
            check_whole(path)
            if not isinstance(
                self.load, (LoadAnnotationsByValue, LoadRasterAnnotations)
            ):
                self._look_at_palette(path, census)
        if self.load is None or not hasattr(self.dataset, 'ignore_index'):
            return
        info, window = copy.deepcopy(info), None
        if size and isinstance(self.load, LoadRasterAnnotations):
            # the middle of a scene, which may be larger than the memory
            info['raster_shape'] = size[::-1]
            sides = [min(side, _MIDDLE) for side in size]
            left, top = ((a - b) // 2 for a, b in zip(size, sides))
            size = tuple(sides)
            info['raster_window'] = window = Window(top, left, *sides[::-1])
        mask = self.load(info)['gt_seg_map']
        if size and mask.shape != size[::-1]:
            census.error(
                'mask size',
                f'{path}: the mask is of shape {mask.shape}, the image '
                f'{info["img_path"]} of {size[::-1]}'
                + (
                    ' (masks are grey or palette images)'
                    if mask.ndim > 2
                    else ', perhaps rotated by its EXIF entry'
                    if mask.shape == size
                    else ''
                )
                + '.',
            )
            return
        if size and self.raster is not None:
            missing = self.raster.read_missing(info['img_path'], window)
            if missing is not None and self.ignores_nodata:
                mask = np.where(missing, NO_LABEL, mask)
            elif missing is not None and missing.any():
                census.warn(
                    'no data',
                    f'{info["img_path"]} has no data in some places, and '
                    "labels there count: put dict(type='sr4ir_mm."
                    "IgnoreNodata') behind what loads labels.",
                )
        ids = np.bincount(mask.ravel())
        known = range(len(self.classes)) if self.classes else range(len(ids))
        ignored = {self.dataset.ignore_index, 255, *self.ignored}
        for label in np.flatnonzero(ids).tolist():
            if label in known:
                census.counts[label] += int(ids[label])
            elif label in ignored:
                census.ignored += int(ids[label])
            else:
                census.error(
                    f'id {label}',
                    f'{path}: the mask has ids {label}, which are no classes '
                    f'of metainfo.classes ({len(self.classes)}) and not the '
                    'ignored one.',
                )

    def _look_at_palette(self, path: str, census: 'Census') -> None:
        """Colours of a palette image tell whether its ids are in order."""
        with Image.open(path) as image:
            if image.mode[0] == 'I':
                raise DataError(
                    f'{path}: the mask has 16 or 32 bits, of which mmseg '
                    'reads eight: save it as an 8-bit one.'
                )
            colors = image.getpalette() if image.mode == 'P' else None
        plain = (
            not (self.dataset.reduce_zero_label or self.dataset.label_map)
            if hasattr(self.dataset, 'label_map')
            else False
        )
        if colors is None or not plain or not self.palette:
            return
        expected = [tuple(color) for color in self.palette]
        found = list(zip(*[iter(colors)] * 3))[: len(expected)]
        moved = [
            i
            for i, color in enumerate(found)
            if color != expected[i] and color in expected
        ]
        if moved:
            i = moved[0]
            census.warn(
                'palette',
                f'{path}: its palette has the colour of '
                f'{self.classes[expected.index(found[i])]!r} at id {i}, which '
                f'is {self.classes[i]!r} in metainfo: perhaps its ids were '
                'put in another order.',
            )

    def _read_labels(self, info: dict, census: 'Census') -> None:
        labels = np.atleast_1d(np.asarray(info['gt_label'])).tolist()
        census.counts.update(labels)
        for label in labels:
            if self.classes and not 0 <= label < len(self.classes):
                census.error(
                    'class',
                    f'{info.get("img_path")} has the label {label}, and '
                    f'metainfo.classes {len(self.classes)} classes, from 0 '
                    f'to {len(self.classes) - 1} ({census.source}).',
                )
