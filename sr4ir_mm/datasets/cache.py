import hashlib
import os
import os.path as osp
import shutil
import tempfile
import weakref
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform

from sr4ir_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CacheImages(BaseTransform):
    """Load images that have been decoded before from shared memory.

    Takes the place of ``LoadImageFromFile`` in a pipeline. The first worker
    that needs an image decodes it for all of them, and for all epochs. When
    the memory is full, images are decoded as ever. It is freed at the end.

    Args:
        load (dict): What decodes, e.g. ``dict(type='LoadImageFromFile')``.
        root (str): A folder in memory. Defaults to ``/dev/shm``.
    """

    def __init__(self, load: dict, root: str = '/dev/shm') -> None:
        self.load = TRANSFORMS.build(load)
        self.folder = tempfile.mkdtemp(prefix='sr4ir_mm-', dir=root)
        weakref.finalize(self, _remove, self.folder, os.getpid())

    def transform(self, results: dict) -> Optional[dict]:
        name = hashlib.sha1(os.fsencode(results['img_path'])).hexdigest()
        path = osp.join(self.folder, f'{name}.npy')
        if osp.isfile(path):
            image = np.load(path)
            size = image.shape[:2]
            return dict(results, img=image, img_shape=size, ori_shape=size)
        results = self.load(results)
        if results is not None:
            self._store(path, results['img'])
        return results

    def _store(self, path: str, image: np.ndarray) -> None:
        part = f'{path}.{os.getpid()}'
        try:
            with open(part, 'wb') as file:
                np.save(file, image)
            os.replace(part, path)
        except OSError:  # full
            if osp.isfile(part):
                os.remove(part)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # and no worker of it
        shutil.rmtree(folder, ignore_errors=True)
