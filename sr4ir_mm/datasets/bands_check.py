"""Images that a pipeline loads are what ``model.bands`` says."""

from typing import Any, Iterator, Optional, Tuple

import numpy as np
from mmengine.dataset import BaseDataset

from sr4ir_mm.utils.bands import PHOTOMETRIC, Bands
from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.rasters import Window, open_raster

from .census import leaves

SAMPLES = 8
PART = 1024  # pixels of a side


def check_bands(dataset: Any, name: str, bands: Bands, is_rgb: bool) -> None:
    """Look at how a data set's images are loaded, and at a few of them.

    Args:
        dataset: Of a toolbox, initialized.
        name (str): Of its data loader, such as ``train_dataloader``.
        bands (Bands): What the model takes them for.
        is_rgb (bool): Whether it takes them in the order in which they are
            loaded: ``model.bands`` or ``model.input_is_rgb`` is set.

    Raises:
        DataError: If they are something else, or a transform spoils them.
    """
    for leaf in leaves(dataset):
        for transform in _transforms(leaf):
            kind = type(transform).__name__
            key = f'{name}: {kind}'
            if getattr(transform, 'imdecode_backend', 'cv2') == 'tifffile':
                raise DataError(
                    f"{key}.imdecode_backend='tifffile' loads RGB of the "
                    "file's own values, where BGR of 8 bits is expected: take "
                    'sr4ir_mm.LoadRasterFromFile and model.bands.'
                )
            if kind == 'LoadRasterFromFile' and not is_rgb:
                raise DataError(
                    f'{key} loads bands in the order of the file: say in '
                    'model.bands what they are, dict(number=3, range=255) '
                    'for RGB of 8 bits.'
                )
            deep = not bands.are_pictures
            if deep and kind in PHOTOMETRIC:
                raise DataError(
                    f'{key} is made for 8 bits and RGB, and model.bands are '
                    f'others ({bands.number}, up to {max(bands.high)}): leave '
                    'it out.'
                )
        if not bands.are_pictures and len(leaf):
            _look(leaf, name, bands)


def _transforms(dataset: Any) -> Iterator[Any]:
    pipeline = getattr(dataset, 'pipeline', None)
    queue = list(getattr(pipeline, 'transforms', []))
    while queue:
        transform = queue.pop(0)
        yield transform
        inner = getattr(transform, 'transforms', None) or []
        for one in inner:
            queue += one if isinstance(one, (list, tuple)) else [one]


def _middle_of(
    info: dict, load: Any
) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """An image as it is loaded, (h, w, C), and where it has no data; of a
    raster, whose loader may draw a window, its middle."""
    if type(load).__name__ != 'LoadRasterFromFile':
        image = np.asarray(load(dict(info))['img'])
        return image.reshape(*image.shape[:2], -1), None
    with open_raster(info['img_path']) as raster:
        height, width = (
            min(side, PART) for side in (raster.height, raster.width)
        )
        top, left = (raster.height - height) // 2, (raster.width - width) // 2
        part = Window(top, left, height, width)
        return raster.read(load.bands, part, load.fill)


def _look(dataset: BaseDataset, name: str, bands: Bands) -> None:
    """At some images, as they are loaded."""
    loads = (
        transform
        for transform in _transforms(dataset)
        if type(transform).__name__.startswith('Load')
    )
    load = next(loads, None)
    if load is None or not hasattr(dataset, 'get_data_info'):
        return
    low, high = (np.array(ends) for ends in (bands.low, bands.high))
    brightest = low
    where = np.linspace(0, len(dataset) - 1, SAMPLES).astype(int)
    for index in np.unique(where):
        info = dataset.get_data_info(int(index))
        image, missing = _middle_of(info, load)
        what = f'{name}: {info.get("img_path", "an image")}'
        if image.shape[2] != bands.number:
            raise DataError(
                f'{what} has {image.shape[2]} bands, and model.bands.number='
                f'{bands.number}: choose them by LoadRasterFromFile.bands.'
            )
        fill = getattr(load, 'fill', 0)
        if missing is not None and ((fill < low) | (fill > high)).any():
            raise DataError(
                f'{what} has no data in some places, where LoadRasterFromFile.'
                f'fill={fill:g} is outside of model.bands.range, '
                f'{low.min():g} to {high.max():g}: set it to {low.min():g}.'
            )
        lowest, highest = bands.ends(image, missing)
        misfit = bands.misfit(lowest, highest)
        if misfit:
            raise DataError(f'{what} {misfit}: widen it.')
        brightest = np.maximum(brightest, highest)
    darkness = bands.darkness(brightest)
    if darkness:
        raise DataError(
            f'{name}: its images {darkness}: set it to what they have, such '
            'as 4095 for 12 bits.'
        )
