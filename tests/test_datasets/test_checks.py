"""Files that no training should swallow."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from tiny import TASKS, build_model, runner_cfg, toy_dataset_cfg

from sr4ir_mm.datasets.checks import DataError, check_dataset
from sr4ir_mm.datasets.toy_scenes import write_toy_scenes
from sr4ir_mm.engine import Runner


@pytest.fixture
def root(tmp_path):
    write_toy_scenes(tmp_path, num_train=2, num_val=1, size=(64, 64))
    return tmp_path


def build(root, task='seg', **kwargs):
    from mmengine.registry import DATASETS

    init_default_scope(TASKS[task]['scope'])
    cfg = dict(toy_dataset_cfg(task, root, augment=False), **kwargs)
    dataset = DATASETS.build(cfg)
    dataset.full_init()
    check_dataset(dataset, build_model(task))
    return dataset


def image(root):
    return sorted((root / 'JPEGImages').glob('train*.jpg'))[0]


def mask(root):
    return root / 'SegmentationClass' / f'{image(root).stem}.png'


def cut(path, length=-100):
    path.write_bytes(path.read_bytes()[:length])


def write_mask(root, array, mode=None):
    Image.fromarray(array, mode).save(mask(root))


def turned(root):
    """90 degrees, by EXIF: OpenCV turns it, the mask stays as it is."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(image(root)).resize((64, 32)).save(image(root), exif=exif)
    Image.open(mask(root)).resize((64, 32), 0).save(mask(root))


HARM = dict(
    cut=(lambda root: cut(image(root)), 'cut off'),
    empty=(lambda root: cut(image(root), 0), '0 bytes'),
    text=(lambda root: image(root).write_text('no image'), 'damaged'),
    missing=(lambda root: image(root).unlink(), 'No such file'),
    mask_cut=(lambda root: cut(mask(root)), 'cut off'),
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
    harm, message = HARM[kind]
    dataset = build(root)
    assert dataset[0]['inputs'].shape == (3, 64, 64)
    file = (mask if kind.startswith('mask') else image)(root)
    harm(root)
    with pytest.raises(DataError, match=message) as error:
        dataset[0]
    assert str(file) in str(error.value)


def test_appended_bytes_are_no_damage(root):
    dataset = build(root)
    with open(image(root), 'ab') as file:
        file.write(bytes(10000))
    dataset[0]


@pytest.mark.parametrize(
    'box', [(9, 9, 9, 20), (20, 9, 9, 20), (99, 9, 109, 20)]
)
def test_boxes(root, box):
    path = root / 'Annotations' / f'{image(root).stem}.xml'
    text = path.read_text()
    names = ('xmin', 'ymin', 'xmax', 'ymax')
    for name, value in zip(names, box):
        head, _, rest = text.partition(f'<{name}>')
        text = f'{head}<{name}>{value}{rest[rest.index("<") :]}'
    path.write_text(text)
    dataset = build(root, 'det')
    with pytest.raises(DataError, match='has no area in an image of 64x64'):
        dataset[0]
    load, annotations, *rest = toy_dataset_cfg('det', root)['pipeline']
    drop = dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1))
    if box[0] != 99:
        pipeline = [load, annotations, drop, *rest]
        build(root, 'det', pipeline=pipeline)[0]


def test_empty_split(root):
    (root / 'ImageSets' / 'Segmentation' / 'train.txt').write_text('')
    cfg = Config(runner_cfg(root / 'work', toy_dataset_cfg('seg', root)))
    with pytest.raises(DataError, match='no images: ann_file=.*train.txt'):
        Runner.from_cfg(cfg).train()


def test_a_worker_names_the_file(root):
    cfg = Config(runner_cfg(root / 'work', toy_dataset_cfg('seg', root)))
    cfg.train_dataloader.num_workers = 1
    cut(image(root))
    with pytest.raises(DataError, match='cut off'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('mode', ['L', 'P', 'CMYK', 'RGBA', 'I;16', 'LA'])
def test_kinds_of_images(root, mode):
    """All are read as three channels, with the right colours."""
    dataset = build(root, img_suffix='.png')
    rgb = np.array(Image.open(image(root)).convert('RGB'))
    path = image(root).with_suffix('.png')
    if mode == 'I;16':
        grey = np.array(Image.open(image(root)).convert('L'))
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
        rgb = np.repeat(grey[..., None], 3, 2)
    elif mode == 'CMYK':
        path = path.with_suffix('.jpg')
        Image.open(image(root)).convert('CMYK').save(path, quality=100)
        dataset = build(root)
    else:
        picture = Image.open(image(root)).convert('RGB').convert(mode)
        picture.save(path)
        rgb = np.array(picture.convert('RGB'))
    loaded = dataset[0]['inputs'].numpy()[::-1].transpose(1, 2, 0)
    error = np.abs(loaded.astype(int) - rgb)
    assert error.mean() < (3 if mode == 'CMYK' else 1)
