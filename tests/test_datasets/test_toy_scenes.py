import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from sr4ir_mm.datasets.toy_scenes import (
    CLASSES,
    PALETTE,
    VOID,
    _paint,
    draw_scene,
    write_toy_scenes,
)

SMALL = dict(num_train=6, num_val=4, size=(96, 128))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('toy') / 'scenes'
    write_toy_scenes(root, **SMALL)
    return root


def _contents(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


def _boxes(root, stem):
    """List of (class name, (xmin, ymin, xmax, ymax)), 0-based."""
    tree = ElementTree.parse(str(root / 'Annotations' / f'{stem}.xml'))
    return [
        (
            item.findtext('name'),
            tuple(
                int(item.findtext(f'bndbox/{key}')) - 1
                for key in ('xmin', 'ymin', 'xmax', 'ymax')
            ),
        )
        for item in tree.iter('object')
    ]


def _stems(root, split, task='Segmentation'):
    return (root / f'ImageSets/{task}/{split}.txt').read_text().split()


@pytest.mark.parametrize('split, num', [('train', 6), ('val', 4)])
def test_layout(root, split, num):
    stems = _stems(root, split)
    assert stems == [f'{split}_{index:04d}' for index in range(num)]
    assert stems == _stems(root, split, 'Main')
    for stem in stems:
        image = Image.open(root / 'JPEGImages' / f'{stem}.jpg')
        mask = Image.open(root / 'SegmentationClass' / f'{stem}.png')
        assert (image.mode, mask.mode) == ('RGB', 'P')
        assert image.size == mask.size == (128, 96)
        palette = np.array(mask.getpalette()).reshape(-1, 3)
        assert palette[: len(PALETTE)].tolist() == PALETTE
        tree = ElementTree.parse(str(root / f'Annotations/{stem}.xml'))
        assert tree.findtext('filename') == f'{stem}.jpg'
        assert tree.findtext('size/width') == '128'
        assert tree.findtext('size/height') == '96'
    crops = root / 'Classification' / split
    assert sorted(path.name for path in crops.iterdir()) == sorted(CLASSES[1:])
    crops = list(crops.glob('*/*.jpg'))
    assert len(crops) == 2 * num
    assert {Image.open(path).size for path in crops} == {(64, 64)}


def test_same_arguments_same_images(root, tmp_path):
    write_toy_scenes(tmp_path, **SMALL)
    assert _contents(tmp_path) == _contents(root)


def test_more_images_keep_the_first(root, tmp_path):
    write_toy_scenes(tmp_path, **dict(SMALL, num_train=8))
    more = _contents(tmp_path)
    for path, content in _contents(root).items():
        if path.suffix in ('.jpg', '.png', '.xml'):
            assert more[path] == content


def test_other_arguments_replace(tmp_path):
    write_toy_scenes(tmp_path, **SMALL)
    before = _contents(tmp_path)
    write_toy_scenes(tmp_path, **dict(SMALL, num_train=5, seed=1))
    after = _contents(tmp_path)
    assert not any('train_0005' in path.name for path in after)
    for path, content in after.items():
        if path.suffix in ('.jpg', '.png'):
            assert before[path] != content


def test_second_call_writes_nothing(root):
    def times():
        return {path: path.stat().st_mtime_ns for path in root.rglob('*')}

    before = times()
    write_toy_scenes(root, **SMALL)
    assert times() == before


def test_interrupted_writing_is_redone(root, tmp_path, monkeypatch):
    import sr4ir_mm.datasets.toy_scenes as module

    with monkeypatch.context() as patch:
        patch.setattr(module, '_write_crop', lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_toy_scenes(tmp_path, **SMALL)
    write_toy_scenes(tmp_path, **SMALL)
    assert _contents(tmp_path) == _contents(root)


def test_boxes_enclose_the_masks(root):
    for stem in _stems(root, 'train') + _stems(root, 'val'):
        mask = np.array(Image.open(root / f'SegmentationClass/{stem}.png'))
        boxes = _boxes(root, stem)
        # a class comes at most once in an image: so its pixels are an object
        names = [name for name, _ in boxes]
        assert len(set(names)) == len(names) and 1 <= len(names) <= 4
        labels = [CLASSES.index(name) for name in names]
        assert set(np.unique(mask)) == {0, VOID, *labels}
        for label, (_, box) in zip(labels, boxes):
            rows, cols = np.nonzero(mask == label)
            assert box == (cols.min(), rows.min(), cols.max(), rows.max())
            assert min(box[2] - box[0], box[3] - box[1]) > 12


def test_void_is_a_thin_border(root):
    for stem in _stems(root, 'train'):
        mask = np.array(Image.open(root / f'SegmentationClass/{stem}.png'))
        padded = np.pad(mask, 2)  # no object touches the image's edge
        height, width = mask.shape
        near = np.stack(
            [
                padded[y : y + height, x : x + width]
                for y in range(5)
                for x in range(5)
            ]
        )
        near_object = ((near > 0) & (near < VOID)).any(0)
        # sharp corners are mitred
        assert near_object[mask == VOID].mean() > 0.95
        assert 0.02 < (mask == VOID).mean() < 0.15
        # an object and the background never meet
        beside = near.reshape(5, 5, height, width)[1:4, 1:4]
        inner = (mask > 0) & (mask < VOID)
        assert not (beside == 0).any((0, 1))[inner].any()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_classes_are_balanced(root, split):
    count = Counter(
        name for stem in _stems(root, split) for name, _ in _boxes(root, stem)
    )
    assert set(count) == set(CLASSES[1:])
    crops = [
        len(list((root / 'Classification' / split / name).iterdir()))
        for name in CLASSES[1:]
    ]
    assert max(crops) - min(crops) <= 1


def test_classes_are_balanced_in_the_long_run():
    count = Counter(
        name
        for index in range(80)
        for name, _ in draw_scene(
            np.random.default_rng(index), (128, 128), index % 4
        )[2]
    )
    assert 160 < sum(count.values()) <= 320
    assert max(count.values()) < 1.3 * min(count.values())


def test_only_texture_tells_the_classes_apart():
    planes = [
        np.stack(
            [
                _paint(np.random.default_rng(seed), (60, 60), label, 3)
                for seed in range(40)
            ]
        )
        for label in range(len(CLASSES) - 1)
    ]
    # the same random state gives the same colour and contrast to each class
    means = np.array([plane.mean((1, 2)) for plane in planes])
    spreads = np.array([plane.std((1, 2)).mean() for plane in planes])
    assert np.abs(means - means[0]).max() < 0.03
    assert np.abs(means.mean(1) - means[0].mean(0)).max() < 0.005
    assert spreads.max() < 1.3 * spreads.min()
    assert np.abs(planes[0] - planes[1]).mean() > 0.05


def test_loads_in_mmseg(root):
    datasets = pytest.importorskip('mmseg.datasets')
    # PascalVOCDataset takes no class names but PASCAL VOC's own
    dataset = datasets.BaseSegDataset(
        ann_file='ImageSets/Segmentation/train.txt',
        data_root=str(root),
        metainfo=dict(classes=CLASSES, palette=PALETTE),
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        pipeline=[],
    )
    assert len(dataset) == 6
    results = datasets.LoadAnnotations()(dataset[2])
    mask = np.array(Image.open(root / 'SegmentationClass/train_0002.png'))
    np.testing.assert_array_equal(results['gt_seg_map'], mask)


def test_loads_in_mmdet(root):
    datasets = pytest.importorskip('mmdet.datasets')
    dataset = datasets.VOCDataset(
        ann_file='ImageSets/Main/val.txt',
        data_root=str(root),
        metainfo=dict(classes=CLASSES[1:], palette=PALETTE[1:]),
        data_prefix=dict(sub_data_root=''),
        pipeline=[],
    )
    for index, stem in enumerate(_stems(root, 'val')):
        instances = dataset[index]['instances']
        assert [
            (CLASSES[1:][one['bbox_label']], tuple(one['bbox']))
            for one in instances
        ] == _boxes(root, stem)


def test_loads_in_mmpretrain(root):
    datasets = pytest.importorskip('mmpretrain.datasets')
    dataset = datasets.CustomDataset(
        data_root=str(root / 'Classification'),
        data_prefix='val',
        classes=CLASSES[1:],
        pipeline=[],
    )
    assert len(dataset) == 8
    assert set(dataset.get_gt_labels().tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    'bad, error, match',
    [
        (dict(num_train=-1), ValueError, 'num_train'),
        (dict(num_val=-1), ValueError, 'num_val'),
        (dict(seed=-1), ValueError, 'seed'),
        (dict(size=(128, 48)), ValueError, 'at least 64'),
        (dict(size=(128,)), ValueError, 'size must be'),
    ],
)
def test_bad_arguments(tmp_path, bad, error, match):
    with pytest.raises(error, match=match):
        write_toy_scenes(tmp_path / 'new', **bad)
    assert not (tmp_path / 'new').exists()


def test_root_is_a_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(NotADirectoryError, match='is a file'):
        write_toy_scenes(tmp_path / 'file')


def test_never_mixes_with_other_files(tmp_path):
    other = tmp_path / 'JPEGImages' / '2007_000027.jpg'
    other.parent.mkdir()
    other.write_text('precious')
    with pytest.raises(FileExistsError, match='did not write'):
        write_toy_scenes(tmp_path)
    assert _contents(tmp_path) == {other.relative_to(tmp_path): b'precious'}


def test_command_line(root, tmp_path):
    subprocess.run(
        [
            sys.executable,
            '-m',
            'sr4ir_mm.datasets.toy_scenes',
            str(tmp_path),
            '--num-train',
            '6',
            '--num-val',
            '4',
            '--size',
            '96',
            '128',
        ],
        check=True,
    )
    assert _contents(tmp_path) == _contents(root)
