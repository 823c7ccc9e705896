"""Folders of strangers: what is found in them, and how it is split."""

import csv
import json
import os.path as osp

import numpy as np
import pytest
from PIL import Image

from sr4ir_mm.datasets.folders import look_at, split_of
from sr4ir_mm.datasets.masks import read_masks
from sr4ir_mm.datasets.splits import complete_splits
from sr4ir_mm.datasets.transforms import LoadAnnotationsByValue
from sr4ir_mm.utils.images import DataError

XML = """<annotation><filename>{0}.jpg</filename><object><name> cat </name>
<bndbox><xmin>3</xmin><ymin>5</ymin><xmax>12</xmax><ymax>16</ymax></bndbox>
</object></annotation>"""


def picture(path, size=(32, 24), mode='RGB'):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3))
    Image.fromarray(noise.astype(np.uint8)).convert(mode).save(path)


def mask(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.array(values, np.uint8)
    band = values[np.arange(24 * 32) % len(values)]
    shape = (24, 32, 3) if values.ndim == 2 else (24, 32)
    Image.fromarray(band.reshape(shape)).save(path)


@pytest.mark.parametrize(
    'path, split',
    [
        ('train/images', 'train'),
        ('images/val2017', 'val'),
        ('valid/_annotations.coco.json', 'val'),
        ('annotations/instances_train2017.json', 'train'),
        ('test_labels', 'test'),
        ('train_station', ''),
        ('latest', ''),
    ],
)
def test_split_of_a_path(path, split):
    assert split_of(path) == split


@pytest.mark.parametrize(
    'image, label',
    [
        ('images/{}.jpg', 'masks/{}.png'),
        ('{}.jpg', '{}_mask.png'),
        ('JPEGImages/{}.png', 'SegmentationClass/{}.png'),
        ('images_a/{}.png', 'masks_a/{}.png'),
    ],
)
def test_masks_of_any_ids(tmp_path, image, label):
    for name in 'abcd':
        picture(tmp_path / image.format(name))
        mask(tmp_path / label.format(name), [7, 200, 255, 40])
    folder = look_at(str(tmp_path))
    assert (folder.task, len(folder.splits[''])) == ('seg', 4)
    found = read_masks(folder)
    assert found.values == [7, 40, 200] and not found.plain
    assert 'pixels of 255 are ignored' in found.notes
    path = tmp_path / label.format('a')
    load = LoadAnnotationsByValue(found.values)
    ids = load(dict(seg_map_path=str(path)))['gt_seg_map']
    assert ids.ravel()[:4].tolist() == [0, 2, 255, 1]


def test_colours_have_names_and_an_order(tmp_path):
    for split in ('train', 'val'):
        picture(tmp_path / split / 'a.png')
        mask(
            tmp_path / f'{split}_labels' / 'a_L.png',
            [(9, 0, 0), (0, 9, 0), (0, 0, 0)],
        )
    text = 'name,r,g,b\nroad,9,0,0\ntree,0,9,0\nVoid,0,0,0\n'
    (tmp_path / 'class_dict.csv').write_text(text)
    folder = look_at(str(tmp_path))
    assert set(folder.splits) == {'train', 'val'}
    found = read_masks(folder)
    assert found.classes == ['road', 'tree']
    load = LoadAnnotationsByValue(found.values)
    path = tmp_path / 'val_labels' / 'a_L.png'
    ids = load(dict(seg_map_path=str(path)))['gt_seg_map']
    assert ids.ravel()[:3].tolist() == [0, 1, 255]


def test_black_and_white_masks(tmp_path):
    for name in 'abc':
        picture(tmp_path / 'images' / f'{name}.jpg')
        mask(tmp_path / 'masks' / f'{name}.png', [0, 255])
    found = read_masks(look_at(str(tmp_path)))
    assert found.values == [0, 255]
    assert found.classes == ['background', 'foreground']


def test_names_that_begin_with_id_1(tmp_path):
    for name in 'abc':
        picture(tmp_path / 'images' / f'{name}.jpg')
        mask(tmp_path / 'masks' / f'{name}.png', [0, 1, 2])
    (tmp_path / 'classes.txt').write_text('road\ntree\n')
    found = read_masks(look_at(str(tmp_path)))
    assert found.values == [1, 2]
    assert found.classes == ['road', 'tree']


@pytest.mark.parametrize(
    'names, classes',
    [
        ('road\ntree\ncar\n', ['road', 'tree', 'car']),
        ('road\ntree\n', ['class 7', 'class 40', 'class 200']),
    ],
)
def test_names_of_ids_with_gaps(tmp_path, names, classes):
    for name in 'abc':
        picture(tmp_path / 'images' / f'{name}.jpg')
        mask(tmp_path / 'masks' / f'{name}.png', [7, 40, 200, 255])
    (tmp_path / 'classes.txt').write_text(names)
    found = read_masks(look_at(str(tmp_path)))
    assert found.values == [7, 40, 200]
    assert found.classes == classes
    unknown = 'which is which' in ' '.join(found.notes)
    assert unknown == (classes[0] == 'class 7')


def test_jpeg_masks_are_refused(tmp_path):
    picture(tmp_path / 'images' / 'a.jpg')
    picture(tmp_path / 'masks' / 'a.jpg')
    with pytest.raises(DataError, match='JPEG'):
        look_at(str(tmp_path), 'seg')


def test_coco_drops_classes_without_boxes(tmp_path):
    picture(tmp_path / 'train' / 'a.jpg')
    data = dict(
        images=[dict(id=5, file_name='a.jpg', width=32, height=24)],
        annotations=[dict(id=1, image_id=5, category_id=2, bbox=[1, 2, 3, 4])],
        categories=[dict(id=0, name='things'), dict(id=2, name='cat')],
    )
    path = tmp_path / 'train' / '_annotations.coco.json'
    path.write_text(json.dumps(data))
    folder = look_at(str(tmp_path))
    assert folder.classes == ['cat']
    assert 'things' in ' '.join(folder.notes)
    image, objects = folder.splits['train'][0]
    assert image == 'train/a.jpg'
    assert objects == [dict(bbox=[1, 2, 3, 4], label=0)]


def test_voc_with_lists(tmp_path):
    for name in ('a', 'b', 'c'):
        picture(tmp_path / 'JPEGImages' / f'{name}.png')
        path = tmp_path / 'Annotations' / f'{name}.xml'
        path.parent.mkdir(exist_ok=True)
        path.write_text(XML.format(name))
    lists = tmp_path / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('a\n')
    (lists / 'val.txt').write_text('c\n')
    folder = look_at(str(tmp_path))
    assert folder.classes == ['cat']
    assert [image for image, _ in folder.splits['val']] == ['JPEGImages/c.png']
    # from pixels that are counted from 1
    assert folder.splits['train'][0][1][0]['bbox'] == [2, 4, 10, 12]
    assert '1 images are in none of the lists' in folder.notes


def test_yolo_boxes_and_polygons(tmp_path):
    pytest.importorskip('supervision')
    for split in ('train', 'valid'):
        picture(tmp_path / split / 'images' / 'a.jpg')
        picture(tmp_path / split / 'images' / 'empty.jpg')
        path = tmp_path / split / 'labels' / 'a.txt'
        path.parent.mkdir()
        path.write_text('1 .5 .5 .25 .5\n0 0 0 .5 0 .5 .5\n')
    (tmp_path / 'data.yaml').write_text('names: {0: cat, 1: dog}\n')
    folder = look_at(str(tmp_path))
    assert folder.classes == ['cat', 'dog'] and set(folder.splits) == {
        'train',
        'val',
    }
    samples = dict(folder.splits['train'])
    assert samples['train/images/empty.jpg'] == []
    box, polygon = samples['train/images/a.jpg']
    assert (box['label'], box['bbox']) == (1, [12, 6, 8, 12])
    assert (polygon['label'], polygon['bbox']) == (0, [0, 0, 16, 12])
    (tmp_path / 'data.yaml').write_text('names: [cat]\n')
    with pytest.raises(DataError, match='the class 1, and data.yaml names 1'):
        look_at(str(tmp_path))


def test_arrays_are_images_where_there_are_no_others(tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / 'a.npy', np.zeros((24, 32, 4)))
    found = look_at(str(tmp_path)).splits['']
    assert found == [('cat/a.npy', 0), ('dog/a.npy', 1)]
    for name in ('cat', 'dog'):  # whose features they are
        picture(tmp_path / name / 'b.jpg')
    found = look_at(str(tmp_path)).splits['']
    assert found == [('cat/b.jpg', 0), ('dog/b.jpg', 1)]


def test_arrays_with_pairs_boxes_and_damage(tmp_path):
    """As pictures are."""
    pytest.importorskip('supervision')
    for kind, size in dict(hr=(96, 96, 4), lr=(24, 24, 4)).items():
        for name in ('cat', 'dog'):
            (tmp_path / 'pairs' / kind / name).mkdir(parents=True)
            np.save(tmp_path / 'pairs' / kind / name / 'a.npy', np.ones(size))
    folder = look_at(str(tmp_path / 'pairs'))
    assert folder.classes == ['cat', 'dog']
    assert folder.lr == {'/hr/': '/lr/'}
    (tmp_path / 'pairs' / 'hr' / 'dog' / 'b.npy').write_bytes(b'nothing')
    folder = look_at(str(tmp_path / 'pairs'))
    assert len(folder.splits['']) == 2 and 'b.npy' in folder.notes[0]
    for path, text in dict(images='', labels='0 .5 .5 .25 .5\n').items():
        (tmp_path / 'yolo' / path).mkdir(parents=True)
        (tmp_path / 'yolo' / path / 'a.txt').write_text(text)
    (tmp_path / 'yolo' / 'images' / 'a.txt').unlink()
    (tmp_path / 'yolo' / 'data.yaml').write_text('names: [cat]\n')
    np.save(tmp_path / 'yolo' / 'images' / 'a.npy', np.ones((24, 32, 4)))
    ((_, (box,)),) = look_at(str(tmp_path / 'yolo')).splits['']
    assert box['bbox'] == [12, 6, 8, 12]


def test_csv_without_suffixes(tmp_path):
    with open(tmp_path / 'labels.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['id', 'label'])
        for number in range(12):
            picture(tmp_path / 'pictures' / f'{number}.png')
            writer.writerow([number, number % 2 + 9])
    folder = look_at(str(tmp_path))
    assert (folder.task, folder.classes) == ('cls', ['9', '10'])
    assert dict(folder.splits[''])['pictures/3.png'] == 1


def test_csv_names_the_files_that_are_not_there(tmp_path):
    picture(tmp_path / 'a.png')
    (tmp_path / 'labels.csv').write_text('a.png,cat\nb.png,dog\n')
    with pytest.raises(DataError, match='1 of 2 files .* there: b.png'):
        look_at(str(tmp_path))


def test_folders_of_classes_are_split_by_class(tmp_path):
    for name in ('2', '10'):
        for number in range(20 if name == '2' else 4):
            picture(tmp_path / name / f'{number}.png', mode='L')
    folder = look_at(str(tmp_path))
    assert folder.classes == ['2', '10']
    complete_splits(folder)
    parts = {
        name: [label for _, label in samples]
        for name, samples in folder.splits.items()
    }
    assert {k: v.count(0) for k, v in parts.items()} == dict(
        train=14, val=3, test=3
    )
    assert all(1 in labels for labels in parts.values())
    again = look_at(str(tmp_path))
    complete_splits(again)
    assert again.splits == folder.splits


def test_pairs_and_damaged_images(tmp_path):
    for name in 'abcd':
        picture(tmp_path / 'HR' / f'{name}.png')
        picture(tmp_path / 'LR_x4' / f'{name}x4.png', (8, 6))
        mask(tmp_path / 'masks' / f'{name}.png', [0, 1])
    (tmp_path / 'HR' / 'd.png').write_bytes(b'\x89PNG nothing')
    folder = look_at(str(tmp_path))
    assert folder.lr == {'/HR/': '/LR_x4/', '.png': 'x4.png'}
    assert len(folder.splits['']) == 3
    assert 'd.png is damaged' in folder.notes[0]


def test_what_is_not_understood(tmp_path):
    with pytest.raises(DataError, match='no such folder'):
        look_at(str(tmp_path / 'nowhere'))
    with pytest.raises(DataError, match='no images'):
        look_at(str(tmp_path))
    picture(tmp_path / 'a.png')
    with pytest.raises(DataError, match='no labels'):
        look_at(str(tmp_path))
    mask(tmp_path / 'a_mask.png', [0, 1])
    (tmp_path / 'a.xml').write_text(XML.format('a'))
    with pytest.raises(DataError, match='--task det.*--task seg'):
        look_at(str(tmp_path))
    assert osp.basename(look_at(str(tmp_path), 'seg').splits[''][0][0]) == (
        'a.png'
    )


@pytest.mark.parametrize(
    'classes',
    [
        ('with_mask', 'without_mask'),
        ('high', 'low'),
        ('images_of_cats', 'images_of_dogs'),
    ],
)
def test_classes_that_sound_like_something_else(tmp_path, classes):
    for name in classes:
        for number in range(3):
            picture(tmp_path / name / f'{number}.jpg')
    folder = look_at(str(tmp_path))
    assert (folder.task, folder.classes) == ('cls', list(classes))
    assert len(folder.splits['']) == 6 and not folder.lr


def test_a_table_of_boxes_beside_coco(tmp_path):
    picture(tmp_path / 'a.jpg')
    data = dict(
        images=[dict(id=5, file_name='a.jpg')],
        annotations=[dict(id=1, image_id=5, category_id=2, bbox=[1, 2, 3, 4])],
        categories=[dict(id=2, name='cat')],
    )
    (tmp_path / 'boxes.json').write_text(json.dumps(data))
    (tmp_path / 'boxes.csv').write_text('filename,xmin\na.jpg,3\n')
    assert look_at(str(tmp_path)).task == 'det'
