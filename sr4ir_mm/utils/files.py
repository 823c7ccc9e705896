"""Files that are there as a whole or not at all, and those that come with
the package."""

import glob
import os
import os.path as osp
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Optional
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np


def find_folder(name: str) -> Optional[Path]:
    """A folder that comes with the package.

    Args:
        name (str): ``configs``, ``tools`` or another of the checkout.

    Returns:
        Path | None: Of an installed package (see setup.py), or the checkout's.
    """
    package = Path(__file__).resolve().parents[1]
    folders = (package / '.mim' / name, package.parent / name)
    return next(filter(Path.is_dir, folders), None)


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """What is written to the name that this gives, beside ``path``, becomes
    ``path`` when all is there; where that fails, nothing is left.

    Args:
        path (str): Of a file; its folder is made where it is not there.

    Yields:
        str: Where to write. It has the suffix of ``path``.

    Raises:
        OSError: That names ``path``, if the disk is full, say.
    """
    folder, name = osp.split(osp.abspath(path))
    # the name itself, and more, may be too long for a file
    key, suffix = crc32(os.fsencode(name)), osp.splitext(name)[1]
    part = osp.join(folder, f'.part-{os.getpid()}-{key}{suffix}')
    try:
        os.makedirs(folder, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f'{path} could not be written: {reason}.') from error
    finally:
        if osp.exists(part):
            os.remove(part)


def remove_parts(folder: str) -> None:
    """Take away what :func:`whole_file` had begun when its process was
    killed, from a folder that nobody writes to any more."""
    for path in glob.glob(osp.join(glob.escape(folder), '.part-*')):
        with suppress(FileNotFoundError):
            os.remove(path)


def write_image(image: 'np.ndarray', path: str) -> None:
    """Write an image as OpenCV has it: BGR or grey, uint8."""
    import cv2

    _, content = cv2.imencode(osp.splitext(path)[1], image)
    with whole_file(path) as part:
        with open(part, 'wb') as file:  # by OpenCV, no error says why
            file.write(content)
