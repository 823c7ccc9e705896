"""What an image file is, as its header says, without decoding it."""

import os
import os.path as osp
import stat
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, Optional, Tuple

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

# Of the images in a folder; torchvision's, and JPEG 2000.
IMG_EXTENSIONS = (
    *('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff'),
    *('.webp', '.jp2'),
)
# What the last bytes of a whole file hold.
_ENDS = {'.jpg': b'\xff\xd9', '.jpeg': b'\xff\xd9', '.png': b'IEND'}
_TAIL = 4096
_ADVICE = (
    'Load it by sr4ir_mm.LoadRasterFromFile and say in model.bands what it '
    'holds (docs/en/rasters.md).'
)
# Of those whose further images OpenCV passes over; photographs of some
# cameras hold a copy for displays.
_ANIMATED = ('GIF', 'PNG', 'WEBP')
_KINDS = {2: 'signed integers', 3: 'floating-point numbers'}


class DataError(ValueError):
    """An image or a label that cannot be used."""


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file says.

    Args:
        width (int): In pixels, as the file is shown, after its EXIF entry.
        height (int): Likewise.
        bands (int): Channels.
        bits (int): Of each value.
        turned (bool): Whether the EXIF entry swaps width and height.
        kind (str): What its values are. Defaults to unsigned integers.
        pages (int): 2 if there are more images in it. Defaults to 1.
        beside (str): What further bands of a TIFF or JPEG 2000 are beside:
            ``grey``, of which the first alone is shown, or ``alpha``, by which
            libtiff multiplies colours. Defaults to neither.
    """

    width: int
    height: int
    bands: int
    bits: int
    turned: bool = False
    kind: str = 'unsigned integers'
    pages: int = 1
    beside: str = ''

    @property
    def is_picture(self) -> bool:
        """Whether it is grey or RGB of 8 bits, perhaps with alpha."""
        return (
            self.bits <= 8
            and self.bands <= 4
            and self.kind == ImageHeader.kind
            and not self.beside
        )


def require_file(path: str) -> None:
    """Raise DataError unless it is a regular file that holds something: a
    pipe, say, would be waited for."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}.') from None
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f'{path} is no file, but a folder, pipe or device.')
    if not found.st_size:
        raise DataError(f'{path} is empty (0 bytes).')


def read_header(path: str) -> Optional[ImageHeader]:
    """Look at an image file.

    Args:
        path (str): A local file.

    Returns:
        ImageHeader | None: None for a format that Pillow does not know, which
        OpenCV may.

    Raises:
        DataError: If it is no file, or a damaged one.
    """
    require_file(path)
    try:
        if osp.splitext(path)[1].lower() in ('.tif', '.tiff'):
            return _read_tiff_header(path)
        with Image.open(path) as image:
            if image.format == 'JPEG2000':
                return _read_jpeg_2000_header(path, image)
            bits, bands = _depth(image)
            turned = image.getexif().get(0x0112, 1) >= 5
            size = image.size[::-1] if turned else image.size
            moves = image.format in _ANIMATED and image.is_animated
    except UnidentifiedImageError:
        if osp.splitext(path)[1].lower() in _ENDS:
            raise DataError(f'{path} is damaged, or no image.') from None
        return None
    except Exception as error:
        raise DataError(f'{path} is damaged ({message(error)}).') from error
    pages = 2 if moves else 1
    return ImageHeader(*size, bands, bits, turned, pages=pages)


def _depth(image: Image.Image) -> Tuple[int, int]:
    """Bits and bands: Pillow's mode of a PNG of 16 bits and three bands is
    one of 8 bits, but the decoder is told."""
    arguments = str(image.tile[0][3]) if image.tile else ''
    wide = image.mode.startswith('I') or ';16' in arguments
    bits = 32 if image.mode == 'F' else 16 if wide else 8
    return bits, len(image.getbands())


def _read_jpeg_2000_header(path: str, image: Image.Image) -> ImageHeader:
    """Pillow tells the bits of grey ones alone, and nothing of the first of
    several bands that is grey: they stand in the codestream's head (those of
    the first band), and in boxes before it."""
    bands = len(image.getbands())
    with open(path, 'rb') as file, mmap(
        file.fileno(), 0, access=ACCESS_READ
    ) as content:
        head = content.find(b'\xff\x4f\xff\x51')
        if head < 0:
            raise ValueError('it has no codestream')
        depth = content[head + 42]
        box = content.find(b'colr\x01', 0, head)
        is_grey = box >= 0 and content[box + 10] == 17
        colors = 2 if content.find(b'cdef', 0, head) >= 0 else 1  # with alpha
    return ImageHeader(
        *image.size,
        bands,
        bits=(depth & 127) + 1,
        kind=_KINDS[2] if depth & 128 else ImageHeader.kind,
        beside='grey' if is_grey and bands > colors else '',
    )


def _read_tiff_header(path: str) -> ImageHeader:
    """Pillow opens few kinds of TIFF, but reads the tags of all."""
    with open(path, 'rb') as file:
        start = file.read(8)
        if start[2:3] == b'\x2b' or start[3:4] == b'\x2b':  # BigTIFF
            start += file.read(8)
        tags = _read_tags(file, start)
        more = tags.next and _read_tags(file, start, tags.next)
        # not a smaller copy of the first, as in maps
        pages = 2 if more and not more.get(254, 0) & 1 else 1
    bits = max(np.atleast_1d(tags.get(258, 1)).tolist())
    kind = max(np.atleast_1d(tags.get(339, 1)).tolist())
    turned = tags.get(274, 1) >= 5
    size = (tags[256], tags[257])[:: -1 if turned else 1]
    kind = _KINDS.get(kind, ImageHeader.kind)
    bands = tags.get(277, 1)
    beside = ''
    if bands > 1 and tags.get(262, 1) in (0, 1):
        beside = 'grey'
    elif bands == 4 and 2 in np.atleast_1d(tags.get(338, 0)):
        beside = 'alpha'
    return ImageHeader(*size, bands, bits, turned, kind, pages, beside)


def _read_tags(
    file: BinaryIO, start: bytes, at: Optional[int] = None
) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2(start)
    file.seek(tags.next if at is None else at)
    tags.load(file)
    return tags


def check_whole(path: str) -> None:
    """Raise DataError for an image file that is cut off, of which OpenCV
    reads the rest as grey without a word."""
    end = _ENDS.get(osp.splitext(path)[1].lower())
    if end is None or not osp.isfile(path):
        return
    require_file(path)
    with open(path, 'rb') as file:
        file.seek(max(0, osp.getsize(path) - _TAIL))
        if end in file.read():
            return
    try:  # something may have been appended to it
        with Image.open(path) as image:
            image.load()
    except Exception as error:
        raise DataError(
            f'{path} is damaged or cut off ({message(error)}).'
        ) from error


def lost_values(path: str, header: ImageHeader) -> Optional[str]:
    """What is wrong with an image whose values do not survive being read as
    RGB of 8 bits.

    Args:
        path (str): The file.
        header (ImageHeader): Of it.

    Returns:
        str | None: A sentence about the file, without its name.
    """
    what = f'has {header.bands} bands of {header.bits}-bit {header.kind}'
    if header.pages > 1:
        return (
            'has several pages, of which the first alone would be read: save '
            'the one that is meant.'
        )
    if header.bands > 4:
        return (
            f'{what}: images of up to four are read, as grey or RGB. {_ADVICE}'
        )
    if header.beside == 'grey':
        return f'{what}, of which the first would be read, as grey. {_ADVICE}'
    if header.bits > 16 or header.kind != ImageHeader.kind:
        return f'{what}: unsigned 8 or 16 bits are read. {_ADVICE}'
    values = None
    if header.bits > 8 or header.beside == 'alpha':
        values = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if values is None:
        return None
    if header.beside == 'alpha' and not is_opaque(values):
        return (
            f'{what}, the fourth of them tagged as alpha, by which the others '
            f'would be multiplied. {_ADVICE}'
        )
    used = header.bits - 4  # 12 bits in a file of 16, say
    if header.bits > 8 and values.max() < 1 << used:
        return (
            f'has {header.bits} bits, of which only the lower {used} are used '
            f'(its largest value is {values.max()}): the upper eight, which '
            f'are read, are nearly black. {_ADVICE}'
        )
    return None


def is_opaque(values: np.ndarray) -> bool:
    """Whether the last band of an image hides nothing."""
    return bool((values[..., -1] == np.iinfo(values.dtype).max).all())


def message(error: Exception) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


def blank_line(path: str) -> Optional[str]:
    """What to say of a list of images with a blank line, if it has one."""
    with open(path, errors='replace') as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                return f'{path}: line {number} is blank: remove it.'
    return None
