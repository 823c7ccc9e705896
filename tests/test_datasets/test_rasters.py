"""Rasters in pipelines: images, labels and windows of both."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from fake_data import write_raster
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from sr4ir_mm.datasets import LoadRasterAnnotations, LoadRasterFromFile
from sr4ir_mm.datasets.census import take_census
from sr4ir_mm.datasets.census_reader import CensusReader
from sr4ir_mm.datasets.census_store import CensusStore
from sr4ir_mm.registry import DATASETS
from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.rasters import Window

rasterio = pytest.importorskip('rasterio')
pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)
LOAD = dict(type='sr4ir_mm.LoadRasterFromFile')
LABELS = dict(type='sr4ir_mm.LoadRasterAnnotations')


@pytest.fixture
def scene(tmp_path):
    """Each pixel and label tells where it is; no data at the top."""
    y, x = np.mgrid[:60, :80]
    image = np.stack([y, x, y + x, y * x + 1], axis=2).astype(np.uint16) + 1
    image[:9, :, 3] = image[:5] = 0
    labels = ((y + x) % 7).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / 'labels.png')
    return dict(
        img_path=write_raster(tmp_path / 'a.tif', image, nodata=0),
        seg_map_path=write_raster(tmp_path / 'l.tif', labels[..., None]),
        seg_fields=[],
        reduce_zero_label=False,
        label_map=None,
        image=image,
        labels=labels,
    )


def run(scene, *transforms):
    init_default_scope('mmseg')
    return Compose(transforms)(copy.deepcopy(scene))


@pytest.mark.parametrize('dtype', [np.uint16, np.int32])
def test_image(scene, dtype, monkeypatch):
    """In the file's dtype, or a wider one where PyTorch has none (2.1)."""
    monkeypatch.setattr(torch, 'uint16', torch.int32, raising=False)
    if dtype == np.int32:
        monkeypatch.delattr(torch, 'uint16')
    results = run(scene, dict(LOAD, bands=[4, 1]))
    np.testing.assert_array_equal(results['img'], scene['image'][..., [3, 0]])
    assert results['img'].dtype == dtype
    assert results['img_shape'] == results['ori_shape'] == (60, 80)
    assert run(scene, dict(LOAD, bands=[2]))['img'].shape == (60, 80, 1)


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('by', ['raster', 'png', 'mmseg'])
def test_labels_without_data_are_ignored(
    scene, tmp_path, by, reduce_zero_label
):
    """Where no band has any."""
    scene['reduce_zero_label'] = reduce_zero_label
    transforms = [LOAD, LABELS]
    if by == 'mmseg':
        transforms = [
            LOAD,
            dict(type='LoadAnnotations'),
            dict(type='sr4ir_mm.IgnoreNodata'),
        ]
    if by != 'raster':
        scene['seg_map_path'] = str(tmp_path / 'labels.png')
    labels = run(scene, *transforms)['gt_seg_map']
    expected = scene['labels'].copy()
    if reduce_zero_label:
        expected -= 1  # 0 becomes 255
    expected[:5] = 255
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.uint8


def test_labels_without_data_of_their_own(scene, tmp_path):
    labels = scene['labels'].astype(np.uint16)[..., None] * 100
    scene['seg_map_path'] = write_raster(
        tmp_path / 'l.tif', labels, nodata=600
    )
    scene['label_map'] = {i * 100: i for i in range(6)}
    expected = np.where(scene['labels'] == 6, 255, scene['labels'])
    expected[:5] = 255
    found = run(scene, LOAD, LABELS)['gt_seg_map']
    np.testing.assert_array_equal(found, expected)
    scene['label_map'] = None
    with pytest.raises(DataError, match='l.tif has labels from 0 to 500'):
        run(scene, LOAD, LABELS)


def test_windows_of_image_and_labels_agree(scene):
    transforms = dict(LOAD, window=(16, 24)), LABELS
    windows = []
    for _ in range(30):
        results = run(scene, *transforms)
        top, left, height, width = results['raster_window']
        windows.append((top, left))
        at = np.s_[top : top + height, left : left + width]
        np.testing.assert_array_equal(results['img'], scene['image'][at])
        expected = scene['labels'][at].copy()
        expected[: max(0, 5 - top)] = 255
        np.testing.assert_array_equal(results['gt_seg_map'], expected)
        assert results['img_shape'] == (16, 24)
    assert len(set(windows)) > 25
    np.random.seed(3)
    first = run(scene, *transforms)['raster_window']
    np.random.seed(3)
    assert run(scene, *transforms)['raster_window'] == first


def test_all_windows_are_drawn():
    load = LoadRasterFromFile(window=(4, 9), align=2)
    drawn = {load.draw_window(9, 9) for _ in range(99)}
    assert drawn == {Window(top, 0, 4, 9) for top in (0, 2, 4)}
    small = LoadRasterFromFile(window=(40, 40)).draw_window(9, 50)
    assert small.height == 9 and small.width == 40 and small.top == 0


def test_boxes_are_cut_to_the_window(scene, monkeypatch):
    window = Window(10, 20, 16, 24)
    monkeypatch.setattr(
        LoadRasterFromFile, 'draw_window', lambda *args: window
    )
    boxes = [
        [0, 0, 80, 60],
        [22, 12, 30, 20],
        [0, 0, 20, 60],
        [43, 25, 50, 30],
    ]
    scene['instances'] = [dict(bbox=box, bbox_label=1) for box in boxes]
    load = LoadRasterFromFile(window=(16, 24))
    kept = load(copy.deepcopy(scene))['instances']
    assert [one['bbox'] for one in kept] == [
        [0, 0, 24, 16],
        [2, 2, 10, 10],
        [23, 15, 24, 16],
    ]
    scene['instances'][0]['mask'] = []
    with pytest.raises(ValueError, match='no masks of objects'):
        load(copy.deepcopy(scene))


def test_lr_files_are_read_in_the_same_window(scene, tmp_path):
    lr = scene['image'].reshape(15, 4, 20, 4, 4).mean((1, 3))
    write_raster(tmp_path / 'a_lr.tif', lr.astype(np.float32))
    pair = dict(
        type='sr4ir_mm.LoadLRImageFromFile',
        replace={'a.tif': 'a_lr.tif'},
        loader='sr4ir_mm.LoadRasterFromFile',
        bands=[1, 2, 4],
    )
    whole = run(scene, LOAD, pair)
    np.testing.assert_array_equal(whole['lr'], lr[..., [0, 1, 3]])
    for _ in range(5):
        results = run(scene, dict(LOAD, window=(16, 24), align=4), pair)
        image = results['img'].reshape(4, 4, 6, 4, 4).mean((1, 3))
        np.testing.assert_array_equal(results['lr'], image[..., [0, 1, 3]])
    with pytest.raises(DataError, match='a_lr.tif: .*align=4'):
        for _ in range(5):
            run(scene, dict(LOAD, window=(16, 24)), pair)


def test_what_cannot_be_meant(scene, tmp_path):
    labels = scene['labels'][:30, :, None]
    scene['seg_map_path'] = write_raster(tmp_path / 'half.tif', labels)
    with pytest.raises(DataError, match='half.tif has 30 x 80 labels.* 60 x'):
        run(scene, dict(LOAD, window=(8, 8)), LABELS)
    with pytest.raises(ValueError, match='IgnoreNodata goes'):
        run(scene, LOAD, LABELS)
    with pytest.raises(ValueError, match='window=512: expected height'):
        LoadRasterFromFile(window=512)
    palette = Image.fromarray(scene['labels'], 'P')
    palette.putpalette([1, 2, 3] * 256)
    palette.save(tmp_path / 'p.png')
    path = str(tmp_path / 'p.png')
    with pytest.raises(DataError, match='band 1 are numbers of colours'):
        LoadRasterFromFile()(dict(img_path=path))
    found = LoadRasterAnnotations()(dict(seg_map_path=path))['gt_seg_map']
    np.testing.assert_array_equal(found, scene['labels'])


def key_of(cfg):
    reader = CensusReader(DATASETS.build(cfg), 'train_dataloader', 4, set())
    return CensusStore(reader).key


def test_census_reads_rasters(scene, tmp_path):
    """As the pipeline does: all that is wrong is what it cannot read."""
    init_default_scope('mmseg')
    (tmp_path / 'cut.tif').write_text('no image')
    lines = ['a.tif\tl.tif', 'cut.tif\tl.tif']
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    cfg = dict(
        type='sr4ir_mm.ListedMasks',
        ann_file='list.txt',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='', seg_map_path=''),
        metainfo=dict(classes=tuple('abcdefg')),
        pipeline=[dict(LOAD, window=(8, 8)), LABELS],
    )
    (found,) = take_census(DATASETS.build(cfg), 'train_dataloader', 4)
    assert dict(found.sizes) == {'80x60': 1}
    assert dict(found.formats) == {'4 x 16 bits': 1}
    # what is seen: of one image, and of the labels of both
    seen = np.bincount(scene['labels'].ravel())
    seen += np.bincount(scene['labels'][5:].ravel())
    assert found.counts == dict(enumerate(seen))
    assert found.ignored == 5 * 80 and not found.warnings
    assert key_of(cfg) == key_of(cfg)  # what is kept of it, is found
    before = key_of(cfg)
    cfg['pipeline'][1] = dict(type='LoadAnnotations')
    assert key_of(cfg) != before
    (other,) = take_census(DATASETS.build(cfg), 'train_dataloader', 4)
    assert other.ignored == 0
    assert 'a.tif has no data in some places' in str(other.warnings)
    (error,) = found.errors.values()
    assert 'cut.tif is damaged, or no image' in str(error)


def test_no_more_than_the_window_is_read(tmp_path):
    """Of 20,000 x 20,000 pixels in four bands, 3.2 GB: in a process that may
    have half a gigabyte beside what it has begun with."""
    path = str(tmp_path / 'large.tif')
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=20000,
        width=20000,
        count=4,
        dtype='uint16',
        tiled=True,
        sparse_ok=True,
        bigtiff='YES',
    ) as file:
        part = np.full((4, 512, 512), 7, np.uint16)
        file.write(
            part, window=rasterio.windows.Window(19000, 18000, 512, 512)
        )
    code = (
        'import resource\n'
        'from sr4ir_mm.utils.rasters import Window, open_raster\n'
        f'with open_raster({path!r}) as raster:\n'
        '    raster.read(None, Window(0, 0, 8, 8))\n'
        '    usage = lambda: resource.getrusage(resource.RUSAGE_SELF)\n'
        '    before = usage().ru_maxrss\n'
        '    image, _ = raster.read(None, Window(18000, 19000, 512, 512))\n'
        'assert (image == 7).all() and image.shape == (512, 512, 4)\n'
        'print(usage().ru_maxrss - before)\n'
    )
    grown = subprocess.check_output([sys.executable, '-c', code], text=True)
    assert int(grown) < 64 << 10, f'{grown} KiB'
