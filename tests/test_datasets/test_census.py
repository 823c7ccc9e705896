"""What is wrong with data is said before they are used, and what is left out
is counted."""

import json
import math
import os
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from tiny import TASKS, runner_cfg, toy_dataset_cfg

from sr4ir_mm.apis import wrap
from sr4ir_mm.datasets.census import (
    compare_classes,
    counted_filters,
    take_census,
)
from sr4ir_mm.datasets.pipeline import unreadable
from sr4ir_mm.datasets.toy_scenes import CLASSES, write_toy_scenes
from sr4ir_mm.engine import Runner
from sr4ir_mm.utils.images import DataError

NAMES = CLASSES[1:]


@pytest.fixture
def root(tmp_path):
    write_toy_scenes(tmp_path, num_train=4, num_val=2, size=(64, 64))
    return tmp_path


def census(cfg, task='seg', name='train_dataloader'):
    """As the runner takes it."""
    init_default_scope(TASKS[task]['scope'])
    try:
        with counted_filters(cfg):
            dataset = DATASETS.build(cfg)
    except Exception as error:
        raise unreadable(cfg, error) from error
    found = take_census(dataset, name, 4)
    compare_classes(found)
    found[0].raise_errors()
    return found[0]


def toy(root, task='seg', **kwargs):
    return dict(toy_dataset_cfg(task, root), **kwargs)


def image(root):
    return sorted((root / 'JPEGImages').glob('train*.jpg'))[0]


def mask(root):
    return root / 'SegmentationClass' / f'{image(root).stem}.png'


def xml(root):
    return root / 'Annotations' / f'{image(root).stem}.xml'


def cut(path, length=-100):
    path.write_bytes(path.read_bytes()[:length])


def write_mask(root, array):
    Image.fromarray(array).save(mask(root))


def turned(root):
    """90 degrees, by EXIF: OpenCV turns it, the mask stays as it is."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(image(root)).resize((64, 32)).save(image(root), exif=exif)
    Image.open(mask(root)).resize((64, 32), 0).save(mask(root))


def folder(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


# ------------------------------------------------------------------ files

HARM = dict(
    cut=(lambda root: cut(image(root)), 'cut off'),
    empty=(lambda root: cut(image(root), 0), '0 bytes'),
    text=(lambda root: image(root).write_text('no image'), 'damaged'),
    missing=(lambda root: image(root).unlink(), 'No such file'),
    pipe=(lambda root: pipe(image(root)), 'is no file, but a folder, pipe'),
    folder=(
        lambda root: folder(image(root)),
        'is no file',
    ),
    tiny=(
        lambda root: Image.new('RGB', (9, 3)).save(image(root)),
        '9x3 pixels is smaller than model.scale=4',
    ),
    mask_cut=(lambda root: cut(mask(root)), 'cut off'),
    mask_pipe=(lambda root: pipe(mask(root)), 'is no file'),
    mask_missing=(lambda root: mask(root).unlink(), 'there is no such mask'),
    mask_size=(
        lambda root: write_mask(root, np.zeros((32, 64), np.uint8)),
        r'of shape \(32, 64\), the image .* of \(64, 64\)',
    ),
    mask_id=(
        lambda root: write_mask(root, np.full((64, 64), 9, np.uint8)),
        'has ids 9, which are no classes',
    ),
    mask_rgb=(
        lambda root: write_mask(root, np.zeros((64, 64, 3), np.uint8)),
        'masks are grey or palette',
    ),
    mask_16_bit=(
        lambda root: write_mask(root, np.full((64, 64), 256, np.uint16)),
        '16 or 32 bits',
    ),
    turned=(turned, 'EXIF'),
)


@pytest.mark.parametrize('kind', HARM)
def test_files(root, kind):
    harm, text = HARM[kind]
    file = (mask if kind.startswith(('mask', 'turned')) else image)(root)
    harm(root)
    with pytest.raises(DataError, match=text) as error:
        census(toy(root))
    assert str(file) in str(error.value)


def test_kinds_of_mistakes_are_counted(root):
    for path in (root / 'JPEGImages').glob('train*.jpg'):
        cut(path)
    with pytest.raises(DataError, match=r'\(3 more like it.\)'):
        census(toy(root))


def test_appended_bytes_are_no_damage(root):
    with open(image(root), 'ab') as file:
        file.write(bytes(10000))
    assert census(toy(root)).sizes == {'64x64': 4}


@pytest.mark.parametrize(
    'box', [(9, 9, 9, 20), (20, 9, 9, 20), (99, 9, 109, 20)]
)
def test_boxes(root, box):
    tree = ET.parse(xml(root))
    for name, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
        tree.find(f'.//{name}').text = str(value)
    tree.write(xml(root))
    cfg = toy(root, 'det')
    with pytest.raises(DataError, match='has no area in an image of 64x64'):
        census(cfg, 'det')
    load, annotations, *rest = cfg['pipeline']
    drop = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1))
    census(dict(cfg, pipeline=[load, annotations, drop, *rest]), 'det')


def test_an_empty_split_and_a_worker_are_named(root):
    cfg = Config(runner_cfg(root / 'work', toy(root)))
    cfg.train_dataloader.num_workers = 1
    runner = Runner.from_cfg(cfg)
    loader = runner.build_dataloader(cfg.train_dataloader)
    cut(image(root))  # after the census
    with pytest.raises(DataError, match='cut off'):
        list(loader)
    (root / 'ImageSets' / 'Segmentation' / 'train.txt').write_text('')
    with pytest.raises(DataError, match='no images: ann_file=.*train.txt'):
        runner.build_dataloader(cfg.train_dataloader)


@pytest.mark.parametrize('mode', ['L', 'P', 'CMYK', 'RGBA', 'I;16', 'LA'])
def test_kinds_of_images(root, mode):
    """All are read as three channels, with the right colours."""
    suffix = '.jpg' if mode == 'CMYK' else '.png'
    path = image(root).with_suffix(suffix)
    picture = Image.open(image(root)).convert('RGB')
    rgb = np.array(picture)
    if mode == 'I;16':
        grey = np.array(picture.convert('L'))
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
        rgb = np.repeat(grey[..., None], 3, 2)
    else:
        picture.convert(mode).save(path, quality=100)
        rgb = np.array(picture.convert(mode).convert('RGB'))
    split = root / 'ImageSets' / 'Segmentation' / 'one.txt'
    split.write_text(image(root).stem)
    cfg = toy_dataset_cfg('seg', root, augment=False)
    cfg.update(img_suffix=suffix, ann_file=str(split))
    assert census(cfg).num_images == 1
    loaded = DATASETS.build(cfg)[0]['inputs'].numpy()[::-1].transpose(1, 2, 0)
    error = np.abs(loaded.astype(int) - rgb)
    assert error.mean() < (3 if mode == 'CMYK' else 1)


def write_16_bits(path, top, bands=None):
    shape = (64, 64) if bands is None else (64, 64, bands)
    values = np.linspace(0, top, 64)[:, None]
    values = np.broadcast_to(
        values.reshape(64, *[1] * (len(shape) - 1)), shape
    )
    import cv2

    cv2.imwrite(str(path), values.astype(np.uint16))


def write_bands(path, number, dtype=np.uint8):
    import tifffile

    data = np.zeros((64, 64, number), dtype)
    tifffile.imwrite(
        path, data, photometric='minisblack', planarconfig='contig'
    )


def write_alpha(path, alpha=30, **kwargs):
    import tifffile

    data = np.full((64, 64, 4), 150, np.uint8)
    data[..., 3] = alpha
    tifffile.imwrite(
        path, data, photometric='rgb', extrasamples=['unassalpha']
    )


def write_frames(path):
    frames = [Image.new('L', (64, 64), value) for value in (0, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def write_pages(path):
    import tifffile

    tifffile.imwrite(
        path, np.zeros((8, 64, 64), np.uint8), photometric='minisblack'
    )


def write_float(path):
    import tifffile

    tifffile.imwrite(path, np.random.rand(64, 64, 3).astype(np.float32))


BAD_VALUES = dict(
    png_12_bit=('.png', lambda path: write_16_bits(path, 4095)),
    tiff_12_bit=('.tif', lambda path: write_16_bits(path, 4095)),
    rgb_12_bit=('.png', lambda path: write_16_bits(path, 4000, 3)),
    eight_bands=('.tif', lambda path: write_bands(path, 8)),
    five_bands=('.tiff', lambda path: write_bands(path, 5)),
    two_beside_grey=('.tif', lambda path: write_bands(path, 2)),
    four_beside_grey=('.tif', lambda path: write_bands(path, 4)),
    infrared_as_alpha=('.tif', write_alpha),
    frames=('.gif', write_frames),
    signed=('.tif', lambda path: write_bands(path, 3, np.int16)),
    floats=('.tif', write_float),
    pages=('.tif', write_pages),
)


@pytest.mark.parametrize('kind', BAD_VALUES)
def test_values_that_do_not_survive_8_bits(root, kind):
    """Alike in training and in inference."""
    from sr4ir_mm.apis.sources import read_image

    suffix, write = BAD_VALUES[kind]
    path = image(root).with_suffix(suffix)
    write(path)
    split = root / 'ImageSets' / 'Segmentation' / 'one.txt'
    split.write_text(image(root).stem)
    with pytest.raises(DataError, match=f'{path.name} has '):
        census(toy(root, img_suffix=suffix, ann_file=str(split)))
    with pytest.raises(ValueError, match='has '):
        read_image(path)


def test_16_bits_are_read(root):
    from sr4ir_mm.apis.sources import read_image

    path = root / 'wide.png'
    write_16_bits(path, 65535, 3)
    assert read_image(path).max() == 255


def test_an_alpha_band_that_hides_nothing(root):
    from sr4ir_mm.apis.sources import read_image

    write_alpha(root / 'opaque.tif', 255)
    assert (read_image(root / 'opaque.tif') == 150).all()


# ------------------------------------------------------------------ masks


def every_mask(root, change):
    for path in (root / 'SegmentationClass').glob('*.png'):
        ids = np.array(Image.open(path))
        Image.fromarray(change(ids).astype(np.uint8)).save(path)


def test_an_object_that_is_ignored(root):
    every_mask(root, lambda ids: np.where(ids > 0, 255, 0))
    meta = dict(classes=('background', 'thing'), palette=[[0] * 3, [9] * 3])
    with pytest.raises(
        DataError, match='no pixels of thing, and [0-9]+ pixels that are ign'
    ):
        census(toy(root, metainfo=meta))


def test_pixels_are_those_that_the_pipeline_loads(root):
    every_mask(root, lambda ids: ids + 1)
    found = census(toy(root, reduce_zero_label=True))
    ids = [
        np.array(Image.open(path)).astype(int) - 1
        for path in (root / 'SegmentationClass').glob('train*.png')
    ]
    ids = np.concatenate(ids).ravel()
    expected = np.bincount(ids[ids >= 0], minlength=5)
    assert [found.counts[i] for i in range(5)] == expected.tolist()


def test_a_class_without_pixels_is_named(root):
    every_mask(root, lambda ids: np.where(ids == 4, 3, ids))
    (text,) = [text for _, text in census(toy(root)).warnings.values()]
    assert 'has no pixels of checker' in text


def test_a_palette_in_another_order(root):
    cfg = toy(root)
    palette = np.array(cfg['metainfo']['palette'], np.uint8)
    path = mask(root)
    ids = np.array(Image.open(path))
    ids[ids == 0] = 1  # of what an image editor made 0
    picture = Image.fromarray(ids, 'P')
    rest = np.zeros((251, 3), np.uint8)
    moved = np.concatenate([palette[[1, 0, 2, 3, 4]], rest])
    picture.putpalette(moved.ravel().tolist())
    picture.save(path)
    text = ' '.join(text for _, text in census(cfg).warnings.values())
    assert "colour of 'horizontal' at id 0, which is 'background'" in text
    picture.putpalette(np.concatenate([palette, rest]).ravel().tolist())
    picture.save(path)
    assert 'colour' not in str(census(cfg).warnings)


def test_suffixes_that_are_left_out(root):
    os.rename(image(root), image(root).with_suffix('.JPG'))
    (root / 'JPEGImages' / 'more.jpeg').write_bytes(image(root).read_bytes())
    for path in (root / 'JPEGImages').glob('val*'):
        path.unlink()
    found = census(toy(root, ann_file=''))
    assert found.num_images == 3
    assert found.left_out == {'ending with .JPG': 1, 'ending with .jpeg': 1}
    assert len(found.warnings) >= 2


# ------------------------------------------------------------------ names


def voc_names(root, *names):
    """Give the objects of the first image these names."""
    tree = ET.parse(xml(root))
    (first, *others) = tree.findall('object')
    for item in others:
        tree.getroot().remove(item)
    for name in names:
        first.find('name').text = name
        tree.getroot().append(ET.fromstring(ET.tostring(first)))
    tree.getroot().remove(first)
    tree.write(xml(root))


def test_names_of_voc(root):
    voc_names(root, ' checker', 'checker\n', '\tchecker ', 'Checker', 'tree')
    cfg = toy(root, 'det')
    found = census(cfg, 'det')
    assert found.left_out['boxes of other names'] == 2
    _, text = found.warnings['unknown names']
    assert "'Checker' (1)" in text and "'tree' (1)" in text
    labels = [x['bbox_label'] for x in first_info(cfg)['instances']]
    assert labels == [NAMES.index('checker')] * 3


def first_info(cfg):
    return DATASETS.build(cfg).get_data_info(0)


def test_sizes_that_a_voc_file_does_not_say(root):
    tree = ET.parse(xml(root))
    for key in ('width', 'height'):
        tree.find(f'size/{key}').text = '0'
    tree.write(xml(root))
    cfg = toy(root, 'det', filter_cfg=dict(min_size=32))
    found = census(cfg, 'det')
    assert found.num_images == 4 and not found.left_out


def test_an_xml_pipe_and_a_blank_line(root):
    cfg = toy(root, 'det')
    pipe(xml(root))
    with pytest.raises(DataError, match='is no file'):
        census(cfg, 'det')
    for task, name in (('seg', 'Segmentation'), ('det', 'Main')):
        split = root / 'ImageSets' / name / 'train.txt'
        split.write_text(f'{image(root).stem}\n\n')
        runner = Runner.from_cfg(
            Config(runner_cfg(root / task, toy(root, task), task))
        )
        with pytest.raises(DataError, match='train.txt: line 2 is blank'):
            runner.build_dataloader(runner.cfg.train_dataloader)
        if task == 'seg':
            xml(root).unlink()
            xml(root).write_text('<annotation/>')


def test_class_names_given_twice(root):
    meta = dict(classes=(*CLASSES[:4], CLASSES[3]), palette=[[0] * 3] * 5)
    with pytest.raises(DataError, match='has diagonal more than once'):
        census(toy(root, metainfo=meta))


def test_a_data_set_whose_own_names_are_twice_there(root):
    """ImageNet has two cranes, and two kinds of maillots."""
    from mmpretrain.datasets import ImageNet

    names = list(ImageNet.METAINFO['classes'])
    assert len(set(names)) < len(names)
    folder = root / 'Classification' / 'train'
    (root / 'list.txt').write_text(
        '\n'.join(
            f'{path.relative_to(folder)} {label}'
            for label, path in enumerate(sorted(folder.glob('*/*'))[:3])
        )
    )
    cfg = dict(
        type='ImageNet',
        data_root=str(root),
        data_prefix=str(folder),
        ann_file='list.txt',
        pipeline=[],
    )
    assert census(cfg, 'cls').counts == {0: 1, 1: 1, 2: 1}
    cfg['metainfo'] = dict(classes=names[:999] + names[:1])
    with pytest.raises(DataError, match='more than once'):
        census(cfg, 'cls')


def test_folders_in_another_order_than_classes(root):
    cfg = toy(root, 'cls', metainfo=dict(classes=sorted(NAMES)))
    assert census(cfg, 'cls').counts[0] > 0
    cfg['metainfo'] = dict(classes=sorted(NAMES)[::-1])
    with pytest.raises(DataError, match='alphabetical order'):
        census(cfg, 'cls')


def test_data_sets_with_other_classes(root):
    other = dict(classes=NAMES[::-1], palette=[(0, 0, 0)] * 4)
    both = [toy(root, 'det'), toy(root, 'det', metainfo=other)]
    cfg = dict(type='ConcatDataset', datasets=both)
    with pytest.raises(DataError, match='has other classes than') as error:
        census(cfg, 'det')
    assert 'checker, diagonal' in str(error.value)


def test_val_with_a_folder_less(root):
    """Then labels shift by one."""
    folder = root / 'Classification' / 'val' / 'checker'
    folder.rename(root / 'Classification' / 'checker')
    cfg = Config(runner_cfg(root / 'work', toy(root, 'cls'), 'cls'))
    cfg.val_dataloader = dict(
        cfg.train_dataloader, dataset=toy_dataset_cfg('cls', root, 'val')
    )
    cfg.val_cfg, cfg.val_evaluator = dict(), dict(type='Accuracy')
    runner = Runner.from_cfg(cfg)
    runner.build_dataloader(cfg.train_dataloader)
    with pytest.raises(ValueError, match='val_dataloader .* 3 classes|other'):
        runner.build_dataloader(cfg.val_dataloader)


def test_labels_that_are_no_classes(root):
    folder = root / 'Classification' / 'train'
    files = sorted(folder.glob('*/*'))[:3]
    lines = [
        f'{path.relative_to(folder)} {label}'
        for path, label in zip(files, (0, 1, 7))
    ]
    (root / 'list.txt').write_text('\n'.join(lines))
    cfg = dict(
        toy(root, 'cls'),
        data_root='',
        data_prefix=str(folder),
        ann_file=str(root / 'list.txt'),
        metainfo=dict(classes=NAMES),
    )
    with pytest.raises(DataError, match='has the label 7, and .* 4 classes'):
        census(cfg, 'cls')


# ------------------------------------------------------------------- COCO


def write_coco(root, order=NAMES, change=None):
    """The toy scenes' training boxes as a COCO file; its config."""
    data = dict(
        images=[],
        annotations=[],
        categories=[
            dict(id=10 + i, name=name) for i, name in enumerate(order)
        ],
    )
    ids = {x['name']: x['id'] for x in data['categories']}
    for number, path in enumerate(
        sorted((root / 'Annotations').glob('train*'))
    ):
        data['images'].append(
            dict(id=number, file_name=f'{path.stem}.jpg', width=64, height=64)
        )
        for item in ET.parse(path).findall('object'):
            left, top, right, bottom = (
                int(item.find(f'bndbox/{key}').text)
                for key in ('xmin', 'ymin', 'xmax', 'ymax')
            )
            data['annotations'].append(
                dict(
                    id=len(data['annotations']),
                    image_id=number,
                    category_id=ids[item.find('name').text],
                    bbox=[left, top, right - left, bottom - top],
                    area=(right - left) * (bottom - top),
                    iscrowd=0,
                )
            )
    if change is not None:
        change(data)
    (root / 'train.json').write_text(json.dumps(data))
    return toy(
        root,
        'det',
        type='CocoDataset',
        ann_file='train.json',
        data_prefix=dict(img='JPEGImages'),
    )


@pytest.mark.parametrize('order', [NAMES, NAMES[::-1]])
def test_categories_go_by_name(root, order):
    cfg = write_coco(root, order)
    assert census(cfg, 'det').num_images == 4
    expected = [
        item.find('name').text
        for item in ET.parse(xml(root)).findall('object')
    ]
    labels = [x['bbox_label'] for x in first_info(cfg)['instances']]
    assert [NAMES[label] for label in labels] == expected
    metric = dict(type='CocoMetric', ann_file=str(root / 'train.json'))
    from mmdet.registry import METRICS

    metric = METRICS.build(metric)
    ids = metric._coco_api.get_cat_ids(cat_names=NAMES)
    names = [metric._coco_api.load_cats(i)[0]['name'] for i in ids]
    assert names == list(NAMES)


def test_a_category_that_a_file_lacks(root):
    """With the others known, a class without boxes, in its place."""

    def drop(data):
        data['categories'] = data['categories'][1:]
        data['annotations'] = [
            x for x in data['annotations'] if x['category_id'] != 10
        ]

    cfg = write_coco(root, change=drop)
    found = census(cfg, 'det')
    assert found.counts[0] == 0 and sum(found.counts.values()) > 0
    dropped = census(
        dict(
            write_coco(root),
            metainfo=dict(classes=NAMES[:2], palette=[(0, 0, 0)] * 2),
        ),
        'det',
    )
    assert dropped.left_out['boxes of other categories'] > 0


def each(data, key):
    return data[key]


def set_all(key, **values):
    return lambda data: [item.update(values) for item in data[key]]


def set_one(key, **values):
    return lambda data: data[key][1].update(values)


def box_of(values):
    return set_one('annotations', bbox=values)


COCO_HARM = dict(
    misspelt=(
        set_one('categories', name='vertikal'),
        "'vertical', which is no category .* 'vertikal'",
    ),
    capitals=(
        lambda data: [
            x.update(name=x['name'].upper()) for x in data['categories']
        ],
        "'HORIZONTAL'",
    ),
    larger=(set_all('images', width=128, height=128), '64x64, .* 128x128'),
    smaller=(set_all('images', width=32, height=32), '64x64, .* 32x32'),
    string_ids=(
        lambda data: [
            x.update(image_id=str(x['image_id'])) for x in data['annotations']
        ],
        "annotation 0 has image_id='0', .* but 0: numbers and strings",
    ),
    nan=(box_of([1, 1, math.nan, 9]), 'annotation 1 has bbox=.*four finite'),
    infinite=(box_of([1, 1, math.inf, 9]), 'annotation 1 .*four finite'),
    three=(box_of([1, 1, 9]), 'annotation 1 has bbox=.*four finite'),
    words=(
        box_of(['a', 'b', 'c', 'd']),
        'annotation 1 has bbox=.*four finite',
    ),
    no_image=(
        set_one('annotations', image_id=99),
        'annotation 1 has image_id=99, which there is not',
    ),
    no_category=(
        set_one('annotations', category_id=99),
        'annotation 1 has category_id=99, which there is not',
    ),
    twice=(set_one('images', id=0), 'image id 0 is there twice'),
    category_twice=(
        set_one('categories', name='horizontal'),
        "category 'horizontal' is there twice",
    ),
    no_annotations=(
        lambda data: data.pop('annotations'),
        'no boxes of .* nothing to learn',
    ),
    no_images=(lambda data: data.pop('images'), "has no 'images'"),
    no_box=(
        lambda data: data['annotations'][1].pop('image_id'),
        "has no 'image_id'",
    ),
)


@pytest.mark.parametrize('kind', COCO_HARM)
def test_coco(root, kind):
    change, text = COCO_HARM[kind]
    cfg = write_coco(root, change=change)
    with pytest.raises(DataError, match=text) as error:
        census(cfg, 'det')
    assert 'train.json' in str(error.value)


@pytest.mark.parametrize(
    'change',
    [
        set_all('images', width=-1, height=-1),
        set_all('images', width=0, height=0),
        lambda data: [
            (x.pop('width'), x.pop('height')) for x in data['images']
        ],
        lambda data: [x.pop('area') for x in data['annotations']],
        set_all('annotations', segmentation=[]),
    ],
)
def test_what_a_coco_file_may_lack(root, change):
    every = sum(census(write_coco(root), 'det').counts.values())
    cfg = write_coco(root, change=change)
    assert sum(census(cfg, 'det').counts.values()) == every > 0


def test_a_box_without_its_mask(root):
    cfg = write_coco(root, change=set_one('annotations', segmentation=[]))
    load, annotations, *rest = cfg['pipeline']
    annotations = dict(annotations, with_mask=True)
    cfg['pipeline'] = [load, annotations, *rest]
    with pytest.raises(DataError, match='train.json: the box .* no segment'):
        census(cfg, 'det')


# ----------------------------------------------------------- what is left out


def test_what_filters_leave_out(root):
    cfg = toy(root, 'det', filter_cfg=dict(min_size=100))
    with pytest.raises(DataError, match='no images'):
        census(cfg, 'det')
    Image.open(image(root)).resize((200, 200)).save(image(root))
    xml(root).write_text(xml(root).read_text().replace('64', '200'))
    found = census(cfg, 'det')
    assert found.num_images == 1
    assert found.left_out == {"by filter_cfg={'min_size': 100}": 3}
    assert "left out: 3 by filter_cfg={'min_size': 100}" in str(found)


def test_wrap_takes_out_filters_by_size(root):
    sizes = dict(filter_empty_gt=True, min_size=32, bbox_min_size=32)
    dataset = toy(root, 'det', filter_cfg=sizes)
    cfg = ConfigDict(
        default_scope='mmdet',
        model=TASKS['det']['model'],
        train_cfg=dict(max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_dataloader=dict(dataset=dataset),
        test_dataloader=dict(
            dataset=dict(
                pipeline=[
                    dict(type='Resize', scale=(1333, 800), keep_ratio=True)
                ]
            )
        ),
    )
    wrap(cfg)
    kept = cfg.train_dataloader.dataset.filter_cfg
    assert kept == dict(filter_empty_gt=True)


def test_boxes_below_an_lr_pixel(root):
    tree = ET.parse(xml(root))
    for name, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), (5, 5, 8, 30)):
        tree.find(f'.//{name}').text = str(value)
    tree.write(xml(root))
    found = census(toy(root, 'det'), 'det')
    assert found.small == [1, 1]
    assert '1 boxes are less than one LR pixel' in str(found)


# ------------------------------------------------------------------- keeping


def test_read_once(root, monkeypatch):
    from sr4ir_mm.datasets.census_reader import CensusReader

    first = census(toy(root))
    monkeypatch.setattr(CensusReader, 'read', None)
    assert census(toy(root)) == first
    monkeypatch.undo()
    cut(mask(root))  # a file has changed
    with pytest.raises(DataError, match='cut off'):
        census(toy(root))
    monkeypatch.setattr(CensusReader, 'read', None)
    with pytest.raises(DataError, match='cut off'):  # and is remembered
        census(toy(root))


def test_many_processes_find_the_same(root, monkeypatch):
    from sr4ir_mm.datasets import census as module

    one = census(toy(root))
    for path in root.rglob('.sr4ir_mm-census*'):
        path.unlink()
    monkeypatch.setattr(module, '_PARALLEL', 1)
    monkeypatch.setattr(module, '_CHUNK', 1)
    assert census(toy(root)) == one
