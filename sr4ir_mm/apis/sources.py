"""What can be predicted from: files, folders, patterns, tar shards, arrays,
videos."""

import glob
import logging
import mimetypes
import os.path as osp
import re
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Iterator, List, Optional, Sequence, Union
from urllib.request import urlopen

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from sr4ir_mm.utils.images import (
    IMG_EXTENSIONS,
    DataError,
    lost_values,
    read_header,
)
from sr4ir_mm.utils.rasters import RASTER_EXTENSIONS

from .shards import Member, list_shard

ImageType = Union[str, Path, Member, np.ndarray]
InputsType = Union[ImageType, int, Sequence[ImageType]]

_ADDRESSES = ('http://', 'https://')


class Video:
    """The frames of a video file, or of a webcam until it is interrupted.

    Args:
        source (str | int): Path, or the webcam's index.
        every (int): Of so many frames, the first is given. Defaults to 1.

    Raises:
        ValueError: If it cannot be opened.
    """

    def __init__(self, source: Union[str, int], every: int = 1) -> None:
        if every < 1:
            raise ValueError(f'every={every} (--every): expected 1 or more.')
        self.source = source
        self.every = every
        self.live = isinstance(source, int)
        self.name = f'webcam {source}' if self.live else source
        self.stem = osp.splitext(osp.basename(str(source)))[0]
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise ValueError(
                f'There is no webcam {source}.'
                if self.live
                else f'{source} is no video that OpenCV can read.'
            )
        self.fps: float = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.fps /= every

    @property
    def num_frames(self) -> Optional[int]:
        """How many are given, as the file says, or None if nobody knows."""
        num = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return -(-num // self.every) if num > 0 and not self.live else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """
        Yields:
            np.ndarray: A frame, BGR, uint8, (h, w, 3).
        """
        expected, num = self.num_frames, 0
        try:
            while self._capture.grab():
                there, frame = self._capture.retrieve()
                if not there:
                    break
                num += 1
                yield frame
                for _ in range(self.every - 1):  # not decoded to an image
                    self._capture.grab()
        finally:
            self._capture.release()
        if num == 0:
            raise ValueError(f'{self.name} has no frames.')
        if expected is not None and num < expected:
            logging.getLogger('sr4ir_mm').warning(
                '%s: %d of %d frames could be read.', self.name, num, expected
            )


def find_inputs(
    inputs: Union[InputsType, Video], every: int = 1, rasters: bool = False
) -> Union[Video, List[ImageType]]:
    """List what a user means. What is listed already stays as it is.

    Args:
        inputs (str | Path | int | np.ndarray | Sequence | Video): An image, a
            folder of images or tar shards, a pattern such as ``photos/*.jpg``
            or ``shards-{000..009}.tar``, an address, a video, the index of a
            webcam, an array (see :func:`read_image`), or several images or
            shards.
        every (int): See :class:`Video`; of images, 1. Defaults to 1.
        rasters (bool): Whether rasters of a folder are images, too.
            Defaults to False.

    Returns:
        Video | list: A video, or images; of shards (:func:`list_shard`),
        what is in them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there are no images.
    """
    if isinstance(inputs, Video):
        return inputs
    if isinstance(inputs, int) or _is_video(inputs):
        return Video(inputs if isinstance(inputs, int) else str(inputs), every)
    if every != 1:
        raise ValueError(
            f'every={every} (--every): for videos and webcams, not for '
            f'{inputs!r}.'
        )
    if isinstance(inputs, np.ndarray):
        return [inputs]
    if isinstance(inputs, (str, Path)):
        files = _find_files(str(inputs), rasters)
    else:
        try:
            files = list(inputs)
        except TypeError:
            raise ValueError(
                f'{inputs!r} is nothing to predict from: give a path, an '
                'array, or a list of them.'
            ) from None
        if not files:
            raise ValueError('There are no images: the list is empty.')
    images = [image for file in files for image in _unpack(file)]
    if not images:
        raise ValueError(
            f'{files[0]!r} and {len(files) - 1} other tar files have no '
            f'images in them ({", ".join(IMG_EXTENSIONS)}).'
        )
    return images


def _find_files(inputs: str, rasters: bool) -> List[str]:
    if inputs.startswith(_ADDRESSES):
        return [inputs]
    if osp.isdir(inputs):
        return _list_folder(inputs, rasters)
    if osp.exists(inputs):
        _check_regular(inputs)
        return [inputs]
    several = _expand_braces(inputs)
    if len(several) > 1:
        return [file for one in several for file in _find_files(one, rasters)]
    files = sorted(filter(osp.isfile, glob.glob(inputs, recursive=True)))
    if not files:
        raise FileNotFoundError(
            f'There is no file, folder or pattern with files {inputs!r}.'
        )
    return files


def _expand_braces(pattern: str) -> List[str]:
    """``{a,b}`` and ``{008..011}``, as a shell does it."""
    match = re.search(r'{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))}', pattern)
    if match is None:
        return [pattern]
    first, last, words = match.groups()
    if words is None:
        padded = any(re.match(r'0\d', end) for end in (first, last))
        width = max(len(first), len(last)) if padded else 0
        step = 1 if int(first) <= int(last) else -1
        numbers = range(int(first), int(last) + step, step)
        words = ','.join(f'{number:0{width}d}' for number in numbers)
    return [
        one
        for word in words.split(',')
        for one in _expand_braces(
            pattern[: match.start()] + word + pattern[match.end() :]
        )
    ]


def _unpack(file: ImageType) -> List[ImageType]:
    """A shard's images, or what is none as it is."""
    if isinstance(file, (str, Path)):
        path = str(file)
        if path.lower().endswith(('.tar.gz', '.tgz', '.tar.zst', '.tar.xz')):
            raise ValueError(
                f'{path} is compressed, so that no image in it can be read '
                'without all before it: unpack it to a .tar.'
            )
        if path.lower().endswith('.tar') and not path.startswith(_ADDRESSES):
            return list_shard(path, IMG_EXTENSIONS)
    return [file]


def _is_video(inputs: InputsType) -> bool:
    if not isinstance(inputs, (str, Path)) or not osp.isfile(inputs):
        return False
    return (mimetypes.guess_type(inputs)[0] or '').startswith('video')


def _check_regular(path: str) -> None:
    """A named pipe, which gives nothing, would be waited for."""
    if osp.exists(path) and not osp.isfile(path):
        raise ValueError(f'{path!r} is no regular file')


def _list_folder(folder: str, rasters: bool) -> List[str]:
    known = IMG_EXTENSIONS + (RASTER_EXTENSIONS if rasters else ())
    files = sorted(
        str(path)
        for path in Path(folder).iterdir()
        if path.suffix.lower() in (*known, '.tar') and path.is_file()
    )
    if not files:
        raise ValueError(
            f'The folder {folder!r} has no images in it '
            f'({", ".join(known)}); a pattern reaches deeper '
            f'folders: {osp.join(folder, "**", "*.png")!r}.'
        )
    return files


def read_image(image: ImageType) -> np.ndarray:
    """Read an image as OpenMMLab does, without its packages.

    A photograph is turned as its EXIF says, grey gets three channels, alpha is
    dropped, and of 16 bits the upper 8 are taken, if they hold anything.

    Args:
        image (str | Path | Member | np.ndarray): A path or an address, an
            image in a shard, or an array that is like what OpenCV reads: BGR,
            uint8 or uint16, (h, w, 3), or grey (h, w), or with alpha
            (h, w, 4).

    Returns:
        np.ndarray: BGR, uint8, (h, w, 3).

    Raises:
        ValueError: If it is no image, not a whole one, or one whose values do
            not survive 8 bits (:func:`lost_values`).
    """
    if isinstance(image, np.ndarray):
        return _as_bgr(image)
    content = _read(image)
    try:
        # OpenCV fills up a file that was cut short with grey
        with Image.open(BytesIO(content)) as picture:
            picture.load()
    except UnidentifiedImageError:
        pass  # there are formats that only OpenCV knows
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f'cannot be read ({error})') from error
    read = None
    if content:
        values = np.frombuffer(content, np.uint8)
        read = cv2.imdecode(values, cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError('is no image')
    return read


def _read(image: Union[str, Path, Member]) -> bytes:
    """What is in a file, unless it has values that 8 bits lose."""
    path, lost = str(image), None
    if isinstance(image, Member):
        content = image.read()
        with NamedTemporaryFile(suffix=osp.splitext(path)[1]) as file:
            file.write(content)
            file.flush()
            lost = _lost(file.name)
    elif path.startswith(_ADDRESSES):
        with urlopen(path) as answer:
            content = answer.read()
    else:
        _check_regular(path)
        lost = osp.isfile(path) and _lost(path)
        content = b'' if lost else Path(path).read_bytes()
    if lost:
        raise ValueError(lost)
    return content


def _lost(path: str) -> Optional[str]:
    try:
        header = read_header(path)
        return header and lost_values(path, header)
    except DataError:  # damaged, as reading it will tell
        return None


def _as_bgr(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(
            f'is an array of {array.dtype}: uint8 is expected, BGR, 0 to 255'
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(
            f'is an array of shape {array.shape}: (h, w, 3) is expected'
        )
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return array[..., :3]
