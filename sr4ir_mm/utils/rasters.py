"""Image files of any number of bands, bits and size, read in windows."""

import os
import os.path as osp
import warnings
from contextlib import suppress
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .images import DataError, message

# MB of blocks that GDAL keeps: else a share of the machine's memory. That of a
# rasterio.Env counts while the Env lasts, and files are read behind it.
os.environ.setdefault('GDAL_CACHEMAX', '256')

# Files that hold no pictures.
RASTER_EXTENSIONS = ('.npy', '.dcm', '.vrt', '.img')


class Window(NamedTuple):
    """A part of an image, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    def __str__(self) -> str:
        return (
            f'rows {self.top} to {self.top + self.height}, columns '
            f'{self.left} to {self.left + self.width}'
        )


def is_raster(path: Any) -> bool:
    """Whether only models of other bands take such a file of a folder."""
    return str(path).lower().endswith(RASTER_EXTENSIONS)


class Raster:
    """An image file that is open, of which parts can be read.

    Values are those that are stored: no scale, offset, palette or gamma is
    applied, and no EXIF entry turns them.

    Args:
        path (str): The file.
        shape (tuple[int, int, int]): Height, width and number of bands.
        dtype (np.dtype): Of the values.
    """

    def __init__(
        self, path: str, shape: Tuple[int, int, int], dtype: np.dtype
    ) -> None:
        self.path = path
        self.height, self.width, self.count = shape
        self.dtype = np.dtype(dtype)
        if self.dtype.kind not in 'uif':
            raise DataError(
                f'{path} has values of {dtype}, which are neither integers '
                'nor floating-point numbers: save their parts, or what they '
                'stand for, as bands.'
            )

    @property
    def whole(self) -> Window:
        return Window(0, 0, self.height, self.width)

    def read(
        self,
        bands: Optional[Sequence[int]] = None,
        window: Optional[Window] = None,
        fill: float = 0,
    ) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        """Read a part of it.

        Args:
            bands (Sequence[int], optional): Which, and in which order; the
                first is 1. Defaults to None: all.
            window (Window, optional): Of which part. Defaults to None: all.
            fill (float): What stands where a band has no data.
                Defaults to 0.

        Returns:
            tuple: The values, (h, w, bands), of the file's dtype, and where
            they are none, bool, (h, w, bands), or None if nothing is missing:
            what the file declares to be no data (a value, a mask, an alpha
            band that is not read itself), and NaN and infinity.

        Raises:
            DataError: That names the file, if there is no such band, or it
                cannot be read.
        """
        bands = self.check_bands(bands)
        window = window or self.whole
        try:
            values, missing = self._read(bands, window)
        except Exception as error:  # GDAL's own reason is in its cause
            reason = message(error.__cause__ or error)
            raise DataError(
                f'{self.path} cannot be read in {window} ({reason}).'
            ) from error
        if self.dtype.kind == 'f':
            missing = missing | ~np.isfinite(values)
        values = np.ascontiguousarray(values)
        if not missing.any():
            return values, None
        values[missing] = fill
        return values, missing

    def check_bands(self, bands: Optional[Sequence[int]]) -> Sequence[int]:
        """The bands that are meant.

        Raises:
            DataError: If one of them is not there.
        """
        if bands is None:
            return range(1, self.count + 1)
        wrong = [band for band in bands if not 1 <= band <= self.count]
        if wrong:
            raise DataError(
                f'{self.path} has {self.count} band(s), and bands='
                f'{list(bands)} asks for number {wrong[0]}; the first is 1.'
            )
        return bands

    def may_lack_data(self, bands: Sequence[int]) -> bool:
        """Whether there may be no data somewhere in any of these bands."""
        return self.dtype.kind == 'f'

    def _read(
        self, bands: Sequence[int], window: Window
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Values that may be written to, (h, w, bands), and which of them are
        declared to be missing, bool, of the same shape or one that fits it."""
        raise NotImplementedError

    def __enter__(self) -> 'Raster':
        return self

    def __exit__(self, *error: Any) -> None:
        """Nothing to close."""


class _Array(Raster):
    """Of a library that gives all of it as an array.

    Args:
        path (str): The file.
        array (np.ndarray): (h, w) or (h, w, bands).
    """

    def __init__(self, path: str, array: np.ndarray) -> None:
        self.array = array if array.ndim > 2 else array[..., None]
        if self.array.ndim != 3:
            raise DataError(
                f'{path} is an array of shape {array.shape}: expected '
                '(height, width) or (height, width, bands).'
            )
        sides = self.array.shape
        if sides[0] < min(sides[1:]) and sides[0] < 20:
            raise DataError(
                f'{path} is an array of shape {sides}, whose bands seem to '
                'come first: expected (height, width, bands), as '
                'np.moveaxis(array, 0, -1) gives.'
            )
        # the dtype of this machine, whatever that of the file
        super().__init__(path, sides, array.dtype.newbyteorder('='))

    def _read(
        self, bands: Sequence[int], window: Window
    ) -> Tuple[np.ndarray, np.ndarray]:
        top, left, height, width = window
        part = self.array[top : top + height, left : left + width]
        part = part[..., [b - 1 for b in bands]]
        return part.astype(self.dtype), np.False_


class GDALRaster(Raster):
    """Of any format of GDAL, which rasterio brings along.

    Args:
        path (str): The file, or another name that GDAL knows.

    Raises:
        DataError: If it is no image, or of several.
    """

    def __init__(self, path: str) -> None:
        self.file = open_file(path)
        others = self.file.subdatasets
        if others:
            self.file.close()
            raise DataError(
                f'{path} has {len(others)} images in it: save the one that is '
                f'meant to a file of its own (gdal_translate {others[0]} '
                'ONE.tif).'
            )
        shape = self.file.height, self.file.width, self.file.count
        super().__init__(path, shape, np.result_type(*self.file.dtypes))

    @property
    def is_map(self) -> bool:
        """Whether it says where on earth it is."""
        return not self.file.transform.is_identity

    @property
    def has_points(self) -> bool:
        """Whether ground control points or rational polynomials alone say
        where it is."""
        placed = self.file.gcps[0] or self.file.rpcs
        return bool(placed) and not self.is_map

    @property
    def alpha(self) -> Optional[int]:
        """The band that is said to be alpha, which may be infrared in truth;
        the first is 1."""
        kinds = [kind.name for kind in self.file.colorinterp]
        return kinds.index('alpha') + 1 if 'alpha' in kinds else None

    def has_palette(self, band: int) -> bool:
        """Whether the values of a band are numbers of colours."""
        return self.file.colorinterp[band - 1].name == 'palette'

    def _read(
        self, bands: Sequence[int], window: Window
    ) -> Tuple[np.ndarray, np.ndarray]:
        from rasterio.windows import Window as Part

        top, left, height, width = window
        part = Part(left, top, width, height)
        bands = list(bands)
        if len({self.file.dtypes[band - 1] for band in bands}) == 1:
            values = self.file.read(bands, window=part)
        else:  # rasterio reads one type at a time
            values = np.stack([self.file.read(b, window=part) for b in bands])
        values = values.transpose(1, 2, 0).astype(self.dtype, copy=False)
        missing = np.zeros((1, 1, len(bands)), bool)
        for i, band in enumerate(bands):
            if self._has_mask(band, bands):
                mask = self.file.read_masks(band, window=part) == 0
                if mask.any():
                    shape = (height, width, len(bands))
                    missing = np.broadcast_to(missing, shape).copy()
                    missing[..., i] = mask
        return values, missing

    def may_lack_data(self, bands: Sequence[int]) -> bool:
        return super().may_lack_data(bands) or self.has_mask(bands)

    def has_mask(self, bands: Sequence[int]) -> bool:
        """Whether the file declares that any of these bands lacks data
        somewhere."""
        return any(self._has_mask(band, bands) for band in bands)

    def _has_mask(self, band: int, bands: Sequence[int]) -> bool:
        kinds = {kind.name for kind in self.file.mask_flag_enums[band - 1]}
        if 'all_valid' in kinds:
            return False
        return not ('alpha' in kinds and self.alpha in bands)

    def __exit__(self, *error: Any) -> None:
        self.file.close()


def open_raster(path: str) -> Raster:
    """Open an image file: a NumPy array (``.npy``), DICOM, or whatever GDAL
    reads (TIFF, PNG, JPEG 2000, VRT ...).

    Args:
        path (str): The file.

    Returns:
        Raster: For a ``with`` statement.

    Raises:
        DataError: That names the file, if it cannot be opened.
        ImportError: If its library is not installed.
    """
    path = str(path)
    if path.endswith('.npy'):
        opened = _open_array
    elif _is_dicom(path):
        opened = _open_dicom
    else:
        opened = GDALRaster
    try:
        return opened(path)
    except (DataError, FileNotFoundError, ImportError):
        raise
    except Exception as error:  # each library has its own
        if not osp.exists(path) and '://' not in path and ':' not in path:
            raise FileNotFoundError(f'There is no file {path}.') from error
        raise DataError(
            f'{path} is damaged, or no image ({message(error)}).'
        ) from error


def open_file(path: str, *args: Any, **kwargs: Any) -> Any:
    """By rasterio, which warns of each image that is no map."""
    rasterio = import_rasterio(path)
    with warnings.catch_warnings():
        warnings.simplefilter(
            'ignore', rasterio.errors.NotGeoreferencedWarning
        )
        return rasterio.open(path, *args, **kwargs)


def import_rasterio(path: str) -> Any:
    """The package, which is an extra.

    Args:
        path (str): What it is needed for.
    """
    try:
        import rasterio
    except ImportError:
        raise ImportError(
            f'{path} is read by rasterio, which is not installed: '
            "`pip install rasterio`, or `pip install 'sr4ir_mm[raster]'`."
        ) from None
    return rasterio


def _open_array(path: str) -> Raster:
    # objects would be code
    return _Array(path, np.load(path, mmap_mode='r', allow_pickle=False))


def _is_dicom(path: str) -> bool:
    with suppress(OSError):
        if osp.isfile(path):
            with open(path, 'rb') as file:
                return file.read(132)[128:] == b'DICM'
    return False


def _open_dicom(path: str) -> Raster:
    """The values that its rescaling stands for (Hounsfield units, say), which
    differs between files of one series: float32; without it, those that are
    stored. Padding has no data."""
    try:
        import pydicom
    except ImportError:
        raise ImportError(
            f'{path} is read by pydicom, which is not installed: `pip '
            'install pydicom`.'
        ) from None
    file = pydicom.dcmread(path)
    frames = int(file.get('NumberOfFrames', 1) or 1)
    if frames > 1:
        raise DataError(
            f'{path} has {frames} frames: save the one that is meant to a '
            'file of its own.'
        )
    stored = values = file.pixel_array
    if 'RescaleSlope' in file:
        slope, intercept = file.RescaleSlope, file.RescaleIntercept
        values = values.astype(np.float32) * np.float32(slope)
        values += np.float32(intercept)
    if 'PixelPaddingValue' in file:
        limit = file.get('PixelPaddingRangeLimit', file.PixelPaddingValue)
        low, high = sorted((int(file.PixelPaddingValue), int(limit)))
        values = values.astype(np.float32)
        values[(low <= stored) & (stored <= high)] = np.nan
    return _Array(path, values)
