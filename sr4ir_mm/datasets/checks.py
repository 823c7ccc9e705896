"""What is wrong with images and labels, said in one sentence that names the
file."""

import os.path as osp
from traceback import walk_tb
from typing import Any, List, Optional, Set

import numpy as np
from mmengine.dataset import Compose
from PIL import Image
from torch import nn

# What the last bytes of a whole file hold.
_ENDS = {'.jpg': b'\xff\xd9', '.jpeg': b'\xff\xd9', '.png': b'IEND'}
_TAIL = 4096


class DataError(ValueError):
    """An image or a label that cannot be used."""


def check_dataset(dataset, model: Optional[nn.Module] = None) -> None:
    """Let a data set, and those inside of it, name what is wrong with them.

    Args:
        dataset: Of a toolbox, initialized.
        model (nn.Module, optional): What it is for: ids that a loss ignores
            are no unknown ones.

    Raises:
        DataError: If it is empty.
    """
    if hasattr(dataset, '__len__') and not len(dataset):
        raise empty(type(dataset).__name__, vars(dataset))
    for inner in getattr(dataset, 'datasets', None) or [
        getattr(dataset, 'dataset', None)
    ]:
        if inner is not None and inner is not dataset:
            check_dataset(inner, model)
    pipeline = getattr(dataset, 'pipeline', None)
    if type(pipeline) is Compose:
        ids = _known_ids(dataset, model)
        scale = getattr(model, 'scale', 1)
        dataset.pipeline = CheckedPipeline(
            pipeline, ids, scale, getattr(dataset, 'ann_file', '')
        )


def unreadable(cfg: dict, error: Exception) -> DataError:
    """What to say of a data set that fails while its annotations are read.

    Args:
        cfg (dict): Its config.
        error (Exception): What its toolbox said, mostly without the file.
    """
    if 'need at least one array' in str(error):
        return empty(cfg.get('type'), cfg)
    file = _file_at_hand(error)
    keys = ('ann_file', 'data_root')
    found = [f'{k}={cfg[k]!r}' for k in keys if cfg.get(k)]
    return DataError(
        f'{cfg.get("type")}, {", ".join(found)}: {_message(error)}'
        + (f' (file: {file})' if file else '')
    )


def _file_at_hand(error: BaseException) -> Optional[str]:
    """The file that was being read when an error was raised: in the variables
    of the functions, from the inside out."""
    while error.__context__ is not None:
        error = error.__context__
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        for value in frame.f_locals.values():
            inner = value.values() if isinstance(value, dict) else [value]
            for path in inner:
                if isinstance(path, str) and osp.isfile(path):
                    return path
    return None


def empty(name: str, settings: dict) -> DataError:
    """What to say of a data set without images."""
    keys = ('ann_file', 'data_root', 'data_prefix', 'filter_cfg')
    found = [f'{k}={settings[k]!r}' for k in keys if settings.get(k)]
    return DataError(
        f'{name} has no images: {", ".join(found)}. Look at these, and '
        'whether the annotations have any of metainfo.classes.'
    )


def _known_ids(dataset, model: Optional[nn.Module]) -> Optional[Set[int]]:
    """The ids that masks may have; None if any."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if classes is None or not hasattr(dataset, 'ignore_index'):
        return None
    ignored = {dataset.ignore_index, 255}
    for module in model.modules() if model is not None else ():
        ignored.add(getattr(module, 'ignore_index', None))
    return {*range(len(classes)), *ignored} - {None}


class CheckedPipeline(Compose):
    """A pipeline whose errors name the file, and which looks at what it has
    loaded: files that are cut off, masks of another size or with unknown ids,
    boxes without area or outside of the image.

    Args:
        pipeline (Compose): The data set's.
        ids (set[int], optional): What masks may hold. Defaults to anything.
        scale (int): Smaller images cannot be degraded. Defaults to 1.
        source (str): The file that lists the images, if there is one.
    """

    def __init__(
        self,
        pipeline: Compose,
        ids: Optional[Set[int]] = None,
        scale: int = 1,
        source: str = '',
    ) -> None:
        self.transforms = pipeline.transforms
        self.ids = ids
        self.scale = scale
        self.source = source
        self._filters_boxes = any(
            type(transform).__name__ == 'FilterAnnotations'
            for transform in self.transforms
        )

    def __call__(self, data: dict) -> Optional[dict]:
        """See :class:`mmengine.dataset.Compose`."""
        files = _files(data)
        checked = set()
        for transform in self.transforms:
            try:
                if not checked:
                    for file in files:
                        _check_whole(file)
                data = transform(data)
                if data is None:
                    return None
                self._check_labels(data, checked)
            except Exception as error:
                if isinstance(error, DataError):
                    raise
                missing = isinstance(error, FileNotFoundError) and self.source
                source = f', listed in {self.source}' if missing else ''
                raise DataError(
                    f'{" or ".join(files) or "a sample"}: {_message(error)} '
                    f'(in {type(transform).__name__}{source})'
                ) from error
            checked.add('files')
        return data

    def _check_labels(self, data: dict, checked: Set[str]) -> None:
        if not isinstance(data, dict):  # test-time augmentation
            return
        for key, check in (
            ('img', self._check_image),
            ('gt_seg_map', self._check_mask),
            ('gt_bboxes', self._check_boxes),
        ):
            if key in data and key not in checked:
                checked.add(key)
                check(data)

    def _check_image(self, data: dict) -> None:
        image = data['img']  # of torchvision's transforms, one of PIL
        is_array = hasattr(image, 'shape')
        height, width = image.shape[:2] if is_array else image.size[::-1]
        if min(height, width) < self.scale:
            raise DataError(
                f'{data.get("img_path")}: an image of {width}x{height} pixels '
                f'is smaller than model.scale={self.scale}. Leave it out.'
            )

    def _check_mask(self, data: dict) -> None:
        mask, size = data['gt_seg_map'], tuple(data.get('ori_shape', ()))[:2]
        if size and mask.shape != size:
            raise DataError(
                f'{data.get("seg_map_path")}: the mask is of shape '
                f'{mask.shape}, the image {data.get("img_path")} of {size}'
                + (
                    ' (masks are grey or palette images)'
                    if mask.ndim > 2
                    else ', perhaps rotated by its EXIF entry'
                    if mask.shape == size[::-1]
                    else ''
                )
                + '.'
            )
        if self.ids is None:
            return
        path = data.get('seg_map_path')
        if path and osp.isfile(path) and Image.open(path).mode[0] == 'I':
            raise DataError(
                f'{path}: the mask has 16 or 32 bits, of which mmseg reads '
                'eight: save it as an 8-bit one.'
            )
        ids = (
            np.flatnonzero(np.bincount(mask.ravel()))  # 20 times as fast
            if mask.dtype == np.uint8
            else np.unique(mask)
        )
        unknown = sorted(set(ids.tolist()) - self.ids)
        if unknown:
            raise DataError(
                f'{data.get("seg_map_path")}: the mask has ids '
                f'{str(unknown[:8])[1:-1]}, which are no classes of '
                'metainfo.classes and not the ignored one.'
            )

    def _check_boxes(self, data: dict) -> None:
        boxes = data['gt_bboxes']
        boxes = np.asarray(getattr(boxes, 'tensor', boxes), dtype=float)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or self._filters_boxes:
            return
        height, width = data['ori_shape'][:2]
        declared = data.get('height'), data.get('width')
        if height != width and declared == (width, height):
            raise DataError(
                f'{data.get("img_path")}: the image is {width}x{height}, the '
                f'annotation for {height}x{width}: perhaps it is rotated by '
                'its EXIF entry, and the boxes are not.'
            )
        left, top, right, bottom = boxes.T
        good = (right > left) & (bottom > top)  # also no NaN
        good &= (right > 0) & (bottom > 0) & (left < width) & (top < height)
        if not good.all():
            raise DataError(
                f'{data.get("img_path")}: box {boxes[~good][0].tolist()} has '
                f'no area in an image of {width}x{height}. Mend the '
                'annotation, or drop such boxes: put '
                "dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1)) "
                'behind LoadAnnotations.'
            )


def _files(data: Any) -> List[str]:
    keys = ('img_path', 'seg_map_path')
    return [str(data[key]) for key in keys if data.get(key)]


def _check_whole(path: str) -> None:
    """Raise DataError for an image file that is cut off, of which OpenCV
    reads the rest as grey without a word."""
    end = _ENDS.get(osp.splitext(path)[1].lower())
    if end is None or not osp.isfile(path):
        return
    if not osp.getsize(path):
        raise DataError(f'{path} is empty (0 bytes).')
    with open(path, 'rb') as file:
        file.seek(max(0, osp.getsize(path) - _TAIL))
        if end in file.read():
            return
    try:  # something may have been appended to it
        with Image.open(path) as image:
            image.load()
    except Exception as error:
        raise DataError(
            f'{path} is damaged or cut off ({_message(error)}).'
        ) from error


def _message(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
