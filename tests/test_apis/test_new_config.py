"""A config for a folder: it is read, and trains."""

import re

import numpy as np
import pytest
import torch
from fake_data import write_raster
from mmengine.config import Config
from PIL import Image

from sr4ir_mm.apis import use_data, wrap
from sr4ir_mm.apis.new_config import (
    WEIGHTS,
    choose,
    find,
    init,
    measure_bands,
    read_toolbox_config,
)
from sr4ir_mm.engine.preflight import build_loader
from sr4ir_mm.evaluation import SRSSIM
from sr4ir_mm.registry import DATASETS, MODELS
from sr4ir_mm.utils.bands import read_bands
from sr4ir_mm.utils.images import DataError


def picture(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)


def masks(root, number=8, size=(96, 96)):
    ids = np.full(size[::-1], 30, np.uint8)
    ids[: size[1] // 2] = 200
    (root / 'masks').mkdir(parents=True)
    for i in range(number):
        picture(root / 'images' / f'{i}.jpg', size)
        Image.fromarray(ids).save(root / 'masks' / f'{i}.png')


def test_a_config_that_builds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    masks(tmp_path / 'own data')
    assert init('own data') == 0
    shown = capsys.readouterr().out
    assert 'split here by class' in shown and 'sr4ir train' in shown
    text = (tmp_path / 'own-data_x4.py').read_text()
    assert 'values=[30, 200]' in text
    assert 'init_cfg=None' in text  # there are no ImageNet weights here
    cfg = Config.fromfile('own-data_x4.py')
    assert cfg.model.task_model.decode_head.num_classes == 2
    assert cfg.train_dataloader.dataset.metainfo.classes == (
        'class 30',
        'class 200',
    )
    assert (tmp_path / 'own-data_x4' / 'train.txt').read_text().count(
        '\n'
    ) == 6
    model = MODELS.build(cfg.model)
    assert model.scale == 4


@pytest.mark.parametrize(
    'values,expected',
    [
        ((0, 4000, np.uint16), 4095),
        ((0, 60000, np.uint16), 65535),
        ((-1000, 2976, np.int16), (-1000, 3000)),
        ((0, 1, np.float32), 1.0),
        ((-0.5, 2.25, np.float32), (-0.5, 2.3)),
    ],
)
def test_ranges_of_values(tmp_path, values, expected):
    """Of all images: what one of them alone has counts."""
    low, high, dtype = values
    files = []
    for i, top in enumerate((low, high)):
        image = np.full((8, 9, 5), low, dtype)
        image[0, 0, 0] = top
        files.append(str(tmp_path / f'{i}.npy'))
        np.save(files[-1], image)
    found = measure_bands(files)
    assert found['number'] == 5
    assert found['range'] == pytest.approx(expected)
    bands = read_bands(found)
    assert bands.whole == (np.dtype(dtype).kind != 'f')
    np.save(tmp_path / '2.npy', np.zeros((8, 9, 4), dtype))
    with pytest.raises(DataError, match='has 5 bands, and .*2.npy 4'):
        measure_bands([*files, str(tmp_path / '2.npy')])


def write_bands(path, values, **options):
    if path.suffix == '.npy':
        np.save(path, values)
        return
    if path.suffix == '.jp2':
        options.update(driver='JP2OpenJPEG', quality=100, reversible='yes')
    write_raster(path, values, **options)


def as_rasters(folder, suffix='.tif', missing=0, **options):
    """Four bands of 12 bits in the place of its pictures, but for the first
    columns."""
    rng = np.random.default_rng(0)
    for path in list(folder.iterdir()):
        path.unlink()
        values = rng.integers(1, 4096, (96, 96, 4)).astype(np.uint16)
        values[:, :missing] = 0
        write_bands(path.with_suffix(suffix), values, **options)


@pytest.mark.parametrize('suffix', ['.tif', '.jp2', '.npy'])
def test_images_of_bands(tmp_path, monkeypatch, suffix):
    """From a folder of satellite images to a batch of the model."""
    monkeypatch.chdir(tmp_path)
    masks(tmp_path / 'own')
    as_rasters(tmp_path / 'own' / 'images', suffix)
    assert init('own') == 0
    cfg = Config.fromfile('own_x4.py')
    assert cfg.model.bands == dict(number=4, range=4095)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    batch = next(iter(build_loader(cfg.train_dataloader, seed=0)))
    model = MODELS.build(cfg.model)
    views = model.make_views(batch)
    assert views['hr'].shape[1] == views['sr'].shape[1] == 4
    assert 0.9 < views['hr'].max() <= 1 and views['hr'].min() >= 0
    losses = model.task_loss(views, 'sr')
    assert all(value.isfinite().all() for value in losses.values())


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_no_data_is_no_class(tmp_path, monkeypatch, dtype):
    """Whatever the bits of the labels, which begin at 0 or not."""
    rasterio = pytest.importorskip('rasterio')
    monkeypatch.chdir(tmp_path)
    masks(tmp_path / 'own')
    as_rasters(tmp_path / 'own' / 'images', missing=16, nodata=0)
    rng = np.random.default_rng(0)
    for path in (tmp_path / 'own' / 'masks').iterdir():
        ids = rng.integers(0, 3, (96, 96)).astype(dtype)
        path.unlink()
        Image.fromarray(ids).save(path)
    assert rasterio and init('own') == 0
    (path,) = tmp_path.glob('own_x?.py')
    cfg = Config.fromfile(path)
    dataset = build_loader(cfg.val_dataloader, seed=0).dataset
    labels = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert (labels[:, :16] == 255).all() and set(
        np.unique(labels[:, 16:])
    ) == {0, 1, 2}


@pytest.mark.parametrize('suffix', ['.tif', '.npy'])
def test_classes_of_bands(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ('a', 'b'):
        (tmp_path / 'own' / name).mkdir(parents=True)
        for i in range(8):
            values = rng.integers(0, 4096, (48, 48, 4)).astype(np.uint16)
            write_bands(tmp_path / 'own' / name / f'{i}{suffix}', values)
    assert init('own') == 0
    (path,) = tmp_path.glob('own_x?.py')
    cfg = Config.fromfile(path)
    assert cfg.data_preprocessor.mean is None
    cfg.model.data_preprocessor = cfg.data_preprocessor
    assert MODELS.build(cfg.model).bands.number == 4


def test_masks_in_several_places(tmp_path, monkeypatch):
    """Of two sites, half of the images were left out."""
    monkeypatch.chdir(tmp_path)
    for site in ('a', 'b'):
        masks(tmp_path / 'sites' / site)
        picture(tmp_path / 'sites' / site / 'images' / '8.png', (96, 96))
        mask = tmp_path / 'sites' / site / 'masks' / '0.png'
        (mask.parent / '8.png').write_bytes(mask.read_bytes())
    assert init('sites') == 0
    cfg = Config.fromfile('sites_x4.py')
    assert 'each of 12 is' in (tmp_path / 'sites_x4.py').read_text()
    seen = set()
    for name, number in dict(train=12, val=3, test=3).items():
        dataset = build_loader(cfg[f'{name}_dataloader'], seed=0).dataset
        assert len(dataset) == number
        assert dataset[0]['data_samples'].gt_sem_seg.shape == (96, 96)
        seen |= {sample['data_samples'].img_path for sample in dataset}
    assert len(seen) == 18


def test_a_line_that_is_no_image_and_mask(tmp_path):
    (tmp_path / 'list.txt').write_text('a.png\tmask.png\nb.png mask.png\n')
    cfg = dict(
        type='sr4ir_mm.ListedMasks', ann_file=str(tmp_path / 'list.txt')
    )
    with pytest.raises(DataError, match="list.txt, line 2: 'b.png mask.png'"):
        DATASETS.build(cfg)


def test_scales(tmp_path, monkeypatch):
    masks(tmp_path / 'large', 3, (320, 240))
    masks(tmp_path / 'small', 3, (40, 40))
    assert choose(find(str(tmp_path / 'large'))).scale == 8
    small = choose(find(str(tmp_path / 'small')))
    assert (small.scale, small.crop) == (2, 40)
    assert 'the smallest' in small.reasons[0]
    with pytest.raises(DataError, match='scale 5: there are'):
        choose(find(str(tmp_path / 'small')), 5)


def test_images_that_the_metrics_cannot_score(tmp_path):
    masks(tmp_path, 8, (27, 40))
    choose(find(str(tmp_path)))
    for name in ('0', '5'):
        picture(tmp_path / 'images' / f'{name}.jpg', (26, 40))
    found = find(str(tmp_path))
    assert sum(map(len, found.folder.splits.values())) == 6
    note = r'left out: 2 images smaller than 27x27 .*0.jpg has 26x40'
    assert re.match(note, found.folder.notes[0])
    masks(tmp_path / 'tiny', 8, (4, 4))
    with pytest.raises(DataError, match='all images are smaller .* 4x4'):
        find(str(tmp_path / 'tiny'))
    hr, lr = torch.rand(2, 3, 27, 40)
    sample = dict(gt_img=hr, pred_img=lr)
    SRSSIM().process({}, [sample])
    with pytest.raises(ValueError, match='pixels has less than'):
        SRSSIM().process({}, [{k: v[:, 1:] for k, v in sample.items()}])


def test_pairs_have_their_scale(tmp_path):
    masks(tmp_path)
    for i in range(8):
        picture(tmp_path / 'LR' / f'{i}.jpg', (24, 24))
    found = find(str(tmp_path))
    assert choose(found).scale == 4
    with pytest.raises(DataError, match='--scale 8'):
        choose(found, 8)
    picture(tmp_path / 'LR' / '0.jpg', (31, 24))
    with pytest.raises(DataError, match='no whole part'):
        choose(found)


def test_models_of_toolboxes(tmp_path):
    masks(tmp_path / 'data')
    out = tmp_path / 'own.py'
    model = 'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'
    assert init(str(tmp_path / 'data'), str(out), model=model) == 0
    cfg = Config.fromfile(str(out))
    assert cfg.model.task_model.decode_head.num_classes == 2
    assert cfg.model.task_model.data_preprocessor.size == (96, 96)
    # 400 of both networks, after as many of the SR network alone
    assert cfg.train_cfg.max_iters == 800
    rates = cfg.optim_wrapper.task_model.optimizer.lr
    assert rates == pytest.approx(6e-5)  # it does not say of which batch
    with pytest.raises(DataError, match='it is for masks'):
        read_toolbox_config(model, 'det')


def test_all_heads_and_weights_of_losses():
    cfg = wrap('mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    split = dict(type='CocoDataset', ann_file='a.json')
    use_data(cfg, ('a', 'b', 'c'), split, split, split, batch_size=4)
    heads = cfg.model.task_model.roi_head.bbox_head
    assert [head.num_classes for head in heads] == [3, 3, 3]
    assert cfg.optim_wrapper.task_model.optimizer.lr == 0.02 * 4 / 16
    assert cfg.val_evaluator[0].ann_file == 'a.json'
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert 'Resize' not in steps and cfg.model.resize == (1333, 800)
    cfg = wrap(
        'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py'
    )
    use_data(cfg, ('a', 'b'), split, split, split)
    loss = cfg.model.task_model.decode_head.loss_cls
    assert loss.class_weight == [1.0, 1.0, 0.1]


def test_weights_have_the_name_of_the_small_models():
    cfg = Config.fromfile('configs/_base_/models/lite0.py')
    backbone = cfg.model.task_model.backbone
    assert backbone.init_cfg.checkpoint == WEIGHTS


def test_boxes_outside_of_their_image_are_told(tmp_path, monkeypatch, capsys):
    pytest.importorskip('supervision')
    monkeypatch.chdir(tmp_path)
    for i in range(6):
        picture(tmp_path / 'cells' / 'images' / f'{i}.jpg', (96, 96))
        path = tmp_path / 'cells' / 'labels' / f'{i}.txt'
        path.parent.mkdir(exist_ok=True)
        path.write_text('0 .5 .5 .4 .4\n0 1.4 1.3 .2 .2\n')
    (tmp_path / 'cells' / 'data.yaml').write_text('names: [cell]\n')
    assert init('cells') == 0
    shown = ' '.join(capsys.readouterr().out.split())
    assert 'left out of train: 4 boxes without area in the image' in shown
