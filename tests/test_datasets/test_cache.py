import os

import numpy as np
import pytest
from fake_data import write_image
from torch.utils.data import DataLoader

from sr4ir_mm.datasets import CacheImages

LOAD = dict(type='mmcv.LoadImageFromFile')


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f'{i}.png' for i in range(4)]
    for i, path in enumerate(paths):
        write_image(path, seed=i)
    return [str(path) for path in paths]


class Images:
    def __init__(self, paths, cache):
        self.paths = paths
        self.cache = cache

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.cache(dict(img_path=self.paths[index]))['img']


def test_workers_share_what_one_has_decoded(paths, tmp_path):
    cache = CacheImages(LOAD, root=str(tmp_path))
    loader = DataLoader(Images(paths, cache), num_workers=2)
    first = [image.numpy() for image in loader]
    for path in paths:
        os.remove(path)
    assert all(map(np.array_equal, first, [i.numpy() for i in loader]))
    results = cache(dict(img_path=paths[0], label=1))
    assert results['label'] == 1
    assert results['img_shape'] == results['ori_shape'] == (30, 40)
    results['img'][:] = 0  # an augmentation in place is of this one alone
    assert cache(dict(img_path=paths[0]))['img'].any()


def test_memory_is_freed(paths, tmp_path):
    cache = CacheImages(LOAD, root=str(tmp_path))
    cache(dict(img_path=paths[0]))
    folder = cache.folder
    assert os.listdir(folder)
    del cache
    assert not os.path.exists(folder)


def test_full_memory_is_no_error(paths, tmp_path, monkeypatch):
    cache = CacheImages(LOAD, root=str(tmp_path))

    def full(*args):
        raise OSError('No space left on device')

    monkeypatch.setattr(np, 'save', full)
    assert cache(dict(img_path=paths[0]))['img'].shape == (30, 40, 3)
    assert not os.listdir(cache.folder)
