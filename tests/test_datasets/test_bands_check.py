"""What a pipeline loads, beside what `model.bands` says."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile, RandomGrayscale
from mmseg.datasets.transforms import PhotoMetricDistortion

from sr4ir_mm.datasets import LoadRasterFromFile
from sr4ir_mm.datasets.bands_check import check_bands
from sr4ir_mm.utils.bands import PICTURES, read_bands
from sr4ir_mm.utils.images import DataError

DEEP = read_bands(dict(number=2, range=4095))


class Images:
    """A data set of arrays in files."""

    def __init__(self, folder, arrays, *transforms):
        self.files = [str(folder / f'{i}.npy') for i in range(len(arrays))]
        for file, array in zip(self.files, arrays):
            np.save(file, array)
        self.pipeline = SimpleNamespace(
            transforms=transforms or [LoadRasterFromFile()]
        )

    def __len__(self):
        return len(self.files)

    def get_data_info(self, index):
        return dict(img_path=self.files[index])


def images(number=2, top=4095, bottom=0, num=20):
    rng = np.random.default_rng(0)
    made = rng.integers(bottom, top + 1, (num, 16, 16, number))
    made[:, 0, 0] = top
    return made.astype(np.int16 if bottom < 0 else np.uint16)


def test_images_as_said(tmp_path):
    check_bands(Images(tmp_path, images()), 'train_dataloader', DEEP, True)
    # a dark one among others is no mistake
    some = images()
    some[3:] //= 64
    check_bands(Images(tmp_path, some), 'train_dataloader', DEEP, True)


def test_pixels_without_data_do_not_count(tmp_path):
    """Nor does what stands there, unless the range has no such value."""
    bands = read_bands(dict(number=1, range=(-28.0, -8.0)))
    values = np.random.default_rng(0).uniform(-28, -8, (2, 9, 9, 1))
    values[:, :3] = np.nan

    def check(fill):
        load = LoadRasterFromFile(fill=fill)
        data = Images(tmp_path, values.astype(np.float32), load)
        check_bands(data, 'train_dataloader', bands, True)

    check(-28.0)
    with pytest.raises(DataError, match='fill=0 is outside .*set it to -28'):
        check(0)


@pytest.mark.parametrize(
    'made,message',
    [
        (dict(number=3), r'0\.npy has 3 bands, and model\.bands\.number=2'),
        (dict(top=4096), r'values of \d+ to 4096, .* is 0 to 4095: widen'),
        (dict(bottom=-5), r'values of -\d to 4095'),
        (dict(top=255), r'lowest 6\.2% .* nearly black'),
    ],
)
def test_images_of_something_else(tmp_path, made, message):
    with pytest.raises(DataError, match=f'train_dataloader: .*{message}'):
        check_bands(
            Images(tmp_path, images(**made)), 'train_dataloader', DEEP, True
        )


@pytest.mark.parametrize(
    'transform', [PhotoMetricDistortion(), RandomGrayscale(prob=0.5)]
)
def test_transforms_for_8_bits(tmp_path, transform):
    name = type(transform).__name__
    data = Images(tmp_path, images(), LoadRasterFromFile(), transform)
    with pytest.raises(DataError, match=f'{name} is made for 8 bits'):
        check_bands(data, 'train_dataloader', DEEP, True)
    # what mmcv does to such an image, whence the refusal
    if name == 'PhotoMetricDistortion':
        image = np.full((4, 4, 3), 4000, np.uint16)
        assert transform(dict(img=image))['img'].max() <= 255
    data = Images(tmp_path, images(), LoadImageFromFile(), transform)
    check_bands(data, 'train_dataloader', PICTURES, False)


def test_loaders_that_mislead(tmp_path):
    load = LoadImageFromFile(imdecode_backend='tifffile')
    data = Images(tmp_path, images(), load)
    with pytest.raises(DataError, match="imdecode_backend='tifffile' loads"):
        check_bands(data, 'val_dataloader', PICTURES, False)
    data = Images(tmp_path, images(3, 255))
    with pytest.raises(DataError, match='say in model.bands what they are'):
        check_bands(data, 'val_dataloader', PICTURES, False)
    check_bands(data, 'val_dataloader', PICTURES, True)


def test_windows_leave_no_trace(tmp_path):
    """A training draws as if nobody had looked."""
    data = Images(tmp_path, images(), LoadRasterFromFile(window=(4, 4)))
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    check_bands(data, 'train_dataloader', DEEP, True)
    assert np.random.rand() == expected
