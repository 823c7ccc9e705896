"""The data configs deliver right batches, on stand-ins for the data sets."""

import glob
from pathlib import Path
from xml.etree import ElementTree

import mmcv
import numpy as np
import pytest
import torch
from fake_data import write_cars, write_cub, write_folders, write_voc
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData

DETECTION = ('voc_det', 'bccd', 'toy_scenes_det')
CLASSIFICATION = ('cub', 'cars', 'sign_digits', 'toy_scenes_cls')
BATCH_SIZES = dict(
    voc_det=2, bccd=4, toy_scenes_det=4, cub=16, cars=16, sign_digits=32,
    toy_scenes_cls=8,
)  # fmt: skip


def load(name, root=None):
    """Read a data config; with ``root``, to read the data there."""
    cfg = Config.fromfile(f'configs/_base_/datasets/{name}.py')
    init_default_scope(cfg.default_scope)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        if root is not None:
            loader.dataset.data_root = str(root)
    return cfg


def first_batch(cfg, split):
    loader = Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)
    return next(iter(loader)), loader.dataset


@pytest.fixture(scope='module')
def roots(tmp_path_factory, toy_root):
    """Where the data of each config is."""
    root = tmp_path_factory.mktemp('data')
    write_voc(root / 'voc', toy_root, ('person', 'dog', 'tvmonitor', 'cat'))
    write_voc(root / 'bccd', toy_root, ('WBC', 'RBC', 'Platelets'))
    write_cub(root / 'cub', train=16, size=(320, 260))
    write_cars(root / 'cars', train=16, size=(230, 300))
    for split in ('train', 'val'):
        write_folders(root / 'digits' / split, 4, [str(i) for i in range(10)])
    return dict(
        voc_det=root / 'voc',
        bccd=root / 'bccd',
        toy_scenes_det=toy_root,
        cub=root / 'cub',
        cars=root / 'cars',
        sign_digits=root / 'digits',
        toy_scenes_cls=toy_root,
    )


def voc_objects(root, image_id):
    """List of (class name, 1-based inclusive corners)."""
    tree = ElementTree.parse(str(root / 'Annotations' / f'{image_id}.xml'))
    return [
        (
            item.findtext('name'),
            [
                int(item.findtext(f'bndbox/{key}'))
                for key in ('xmin', 'ymin', 'xmax', 'ymax')
            ],
        )
        for item in tree.iter('object')
    ]


def expected_boxes(root, sample, classes):
    """Labels and boxes of COCO's kind, mirrored if the image was."""
    objects = voc_objects(root, sample.img_id)
    labels = [classes.index(name) for name, _ in objects]
    boxes = torch.tensor([box for _, box in objects]).float()
    boxes[:, :2] -= 1
    if sample.get('flip'):
        boxes[:, [0, 2]] = sample.img_shape[1] - boxes[:, [2, 0]]
    return labels, boxes


@pytest.mark.parametrize(
    'path', sorted(glob.glob('configs/_base_/datasets/*.py'))
)
def test_config_parses(path):
    name = Path(path).stem
    cfg = load(name)
    Config.fromstring(cfg.pretty_text, '.py')  # as it is stored
    metrics = [metric['type'] for metric in cfg.test_evaluator]
    in_training = ['sr4ir_mm.SRPSNR', 'sr4ir_mm.SRSSIM']
    assert [m['type'] for m in cfg.val_evaluator][1:] == in_training
    # the paper of SR2 has no LPIPS, whose networks need more than 28 pixels
    if name not in ('mnist', 'fashion_mnist', 'svhn'):
        assert metrics[1:] == [*in_training, 'sr4ir_mm.SRLPIPS']
    if name in BATCH_SIZES:
        assert cfg.train_dataloader.batch_size == BATCH_SIZES[name]


def test_voc_detection_is_the_papers():
    """Batch 16 on 8 GPUs, all images at their own size, none filtered."""
    cfg = load('voc_det')
    for split in ('train', 'val'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.ann_file == f'ImageSets/Main/{split}.txt'
        assert 'filter_cfg' not in dataset
        assert not any('Resize' in step.type for step in dataset.pipeline)
    assert cfg.test_dataloader == cfg.val_dataloader


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize('name', DETECTION)
def test_detection_batch(roots, name, split):
    cfg = load(name, roots[name])
    batch, dataset = first_batch(cfg, split)
    size = BATCH_SIZES[name] if split == 'train' else 1
    assert len(batch['inputs']) == len(batch['data_samples']) == size
    classes = dataset.metainfo['classes']
    for image, sample in zip(batch['inputs'], batch['data_samples']):
        assert image.dtype == torch.uint8 and image.shape == (3, 64, 64)
        assert sample.img_id.startswith('train' if split == 'train' else 'val')
        assert sample.ori_shape == sample.img_shape == (64, 64)
        assert 'scale_factor' not in sample
        labels, boxes = expected_boxes(roots[name], sample, classes)
        assert sample.gt_instances.labels.tolist() == labels
        assert torch.equal(sample.gt_instances.bboxes.tensor, boxes)
        # what VOC calls difficult counts
        assert len(sample.ignored_instances) == 0
        if split != 'train':
            assert not sample.get('flip')
            assert all(not i['ignore_flag'] for i in sample.instances)


def test_half_of_the_images_are_mirrored(roots):
    cfg = load('toy_scenes_det', roots['toy_scenes_det'])
    dataset = Runner.build_dataloader(cfg.train_dataloader).dataset
    flips = []
    for _ in range(8):
        for item in dataset:
            image, sample = item['inputs'], item['data_samples']
            flips.append(sample.flip)
            pixels = torch.from_numpy(mmcv.imread(sample.img_path))  # BGR
            expected = pixels.permute(2, 0, 1)
            assert torch.equal(
                image.flip(2) if sample.flip else image, expected
            )
    assert 0.25 < np.mean(flips) < 0.75


@pytest.mark.parametrize('name', DETECTION)
def test_ground_truth_has_full_coco_map(roots, name):
    """COCO's measure needs no annotation file of its own."""
    cfg = load(name, roots[name])
    loader = Runner.build_dataloader(cfg.val_dataloader)
    evaluator = Evaluator(cfg.val_evaluator[0])
    evaluator.dataset_meta = loader.dataset.metainfo
    for shift, expected in ((0, 1.0), (100, 0.0)):
        for batch in loader:
            for sample in batch['data_samples']:
                boxes = sample.gt_instances.bboxes.tensor + shift
                sample.pred_instances = InstanceData(
                    bboxes=boxes,
                    labels=sample.gt_instances.labels,
                    scores=torch.ones(len(boxes)),
                )
            evaluator.process(data_samples=batch['data_samples'])
        result = evaluator.evaluate(len(loader.dataset))
        assert result['coco/bbox_mAP'] == expected


def label_of(name, path, split):
    """The label that the stand-in gave to this image."""
    if name == 'cars':
        return (int(path.stem) - 1) % 2
    if name == 'toy_scenes_cls':
        folders = ('checker', 'diagonal', 'horizontal', 'vertical')
        return folders.index(path.parent.name)
    first = dict(cub=1, sign_digits=0)[name]
    return int(path.parent.name[:3]) - first


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize(
    'name, side, num_classes',
    [
        ('cub', 224, 200),
        ('cars', 224, 196),
        ('sign_digits', 96, 10),
        ('toy_scenes_cls', 64, 4),
    ],
)
def test_classification_batch(roots, name, side, num_classes, split):
    cfg = load(name, roots[name])
    batch, dataset = first_batch(cfg, split)
    assert len(dataset.metainfo['classes']) == num_classes
    assert cfg.data_preprocessor.num_classes == num_classes
    size = BATCH_SIZES[name] if split == 'train' else min(32, len(dataset))
    assert len(batch['inputs']) == len(batch['data_samples']) == size
    for image, sample in zip(batch['inputs'], batch['data_samples']):
        assert image.dtype == torch.uint8 and image.shape == (3, side, side)
        assert sample.img_shape[:2] == (side, side)
        path = Path(sample.img_path)
        assert sample.gt_label.dtype == torch.int64
        assert sample.gt_label.item() == label_of(name, path, split)
        assert sample.get('flip', False) in (
            (True, False) if split == 'train' else (False,)
        )


@pytest.mark.parametrize('name', CLASSIFICATION)
def test_preprocessor_builds_and_normalises(roots, name):
    from mmengine.registry import MODELS

    cfg = load(name, roots[name])
    batch, _ = first_batch(cfg, 'val')
    data = MODELS.build(cfg.data_preprocessor)(batch)
    expected = batch['inputs'][0].flip(0).float()  # BGR -> RGB
    for channel, mean, std in zip(
        range(3), cfg.data_preprocessor.mean, cfg.data_preprocessor.std
    ):
        assert torch.allclose(
            data['inputs'][0, channel] * std + mean,
            expected[channel],
            atol=1e-2,
        )


def test_cars_in_one_folder_per_class(tmp_path):
    """As configs/_base_/datasets/cars.py describes it."""
    write_folders(tmp_path / 'train', 8, ('Audi TT', 'BMW X5'), (300, 280))
    cfg = load('cars')
    cfg.train_dataloader.dataset = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        data_prefix='train',
        pipeline=cfg.train_pipeline,
    )
    batch, dataset = first_batch(cfg, 'train')
    assert dataset.metainfo['classes'] == ('Audi TT', 'BMW X5')
    for sample in batch['data_samples']:
        assert sample.gt_label.item() == ('BMW' in sample.img_path)
