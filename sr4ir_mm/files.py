"""Files that are there as a whole or not at all."""

import os
import os.path as osp
from contextlib import contextmanager
from typing import Iterator

import mmcv
import numpy as np
from mmengine.utils import mkdir_or_exist


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
    part = osp.join(folder, f'.part-{os.getpid()}-{name}')
    try:
        mkdir_or_exist(folder)
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f'{path} could not be written: {reason}.') from error
    finally:
        if osp.exists(part):
            os.remove(part)


def write_image(image: np.ndarray, path: str) -> None:
    """Write an image as OpenCV has it: BGR or grey, uint8."""
    with whole_file(path) as part:
        mmcv.imwrite(image, part)
