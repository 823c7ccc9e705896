"""MNIST and SVHN, from the files as distributed and from ``.npz``."""

import gzip

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from scipy.io import savemat

from sr4ir_mm.datasets import MNIST, SVHN

IDX = dict(train='train', test='t10k')
SPLITS = dict(train=12, test=10, extra=11)  # images of each


def draw(split, shape):
    """Images of random pixels; labels 0 to 9, then again from 0."""
    num = SPLITS[split]
    rng = np.random.default_rng(num)
    images = rng.integers(0, 256, (num, *shape)).astype(np.uint8)
    return images, np.arange(num).astype(np.uint8) % 10


def write_idx(root, gz):
    for split, name in IDX.items():
        for kind, array in zip(('images', 'labels'), draw(split, (28, 28))):
            file = root / f'{name}-{kind}-idx{array.ndim}-ubyte'
            data = bytes([0, 0, 8, array.ndim])
            data += np.array(array.shape, '>i4').tobytes() + array.tobytes()
            if gz:
                file, data = f'{file}.gz', gzip.compress(data)
            with open(file, 'wb') as f:
                f.write(data)


def write_mat(root):
    for split in SPLITS:
        images, labels = draw(split, (32, 32, 3))
        labels = np.where(labels, labels, 10)[:, None]
        x = images.transpose(1, 2, 3, 0)
        savemat(str(root / f'{split}_32x32.mat'), dict(X=x, y=labels))


def write_npz(path, shape, splits=SPLITS):
    arrays = {}
    for split in splits:
        arrays[f'{split}_images'], arrays[f'{split}_labels'] = draw(
            split, shape
        )
    np.savez(path, **arrays)


def check(dataset, split, shape):
    """BGR images and labels are those that were written."""
    images, labels = draw(split, shape)
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=3)
    assert len(dataset) == SPLITS[split]
    for i, (image, label) in enumerate(zip(images, labels)):
        sample = dataset[i]
        assert sample['img'].dtype == np.uint8
        np.testing.assert_array_equal(sample['img'], image[..., ::-1])
        assert sample['gt_label'] == label and sample['sample_idx'] == i
    assert dataset.metainfo['classes'] == tuple('0123456789')


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('gz', [True, False])
def test_mnist_as_distributed(tmp_path, split, gz):
    write_idx(tmp_path, gz)
    check(MNIST(str(tmp_path), split), split, (28, 28))


@pytest.mark.parametrize('split', ['train', 'test'])
def test_mnist_npz(tmp_path, split):
    write_npz(tmp_path / 'mnist.npz', (28, 28))
    check(MNIST(str(tmp_path), split), split, (28, 28))


@pytest.mark.parametrize('split', ['train', 'test', 'extra'])
def test_svhn_as_distributed(tmp_path, split):
    write_mat(tmp_path)
    check(SVHN(str(tmp_path), split), split, (32, 32, 3))


def test_svhn_npz(tmp_path):
    write_npz(tmp_path / 'svhn.npz', (32, 32, 3))
    check(SVHN(str(tmp_path), 'extra'), 'extra', (32, 32, 3))


def test_parts_of_a_split(tmp_path):
    """The first and the last images; without serialization, too."""
    write_npz(tmp_path / 'mnist.npz', (28, 28))
    whole = MNIST(str(tmp_path))
    first = MNIST(str(tmp_path), indices=9, serialize_data=False)
    last = MNIST(str(tmp_path), indices=-3)
    parts = [*first, *last]
    assert len(parts) == len(whole) == 12
    for one, other in zip(whole, parts):
        np.testing.assert_array_equal(one['img'], other['img'])


@pytest.mark.parametrize(
    'dataset,split,file,homepage',
    [
        (MNIST, 'train', 'train-images-idx3-ubyte.gz', 'yann.lecun.com'),
        (MNIST, 'test', 't10k-images-idx3-ubyte.gz', 'yann.lecun.com'),
        (SVHN, 'extra', 'extra_32x32.mat', 'ufldl.stanford.edu'),
    ],
)
def test_files_are_absent(tmp_path, dataset, split, file, homepage):
    name = dataset.__name__
    with pytest.raises(FileNotFoundError) as error:
        dataset(str(tmp_path), split)
    for part in (f'{name}.data_root', str(tmp_path), file, homepage):
        assert part in str(error.value)
    assert f'{name.lower()}.npz' in str(error.value)


def test_labels_are_absent(tmp_path):
    write_idx(tmp_path, gz=True)
    (tmp_path / 'train-labels-idx1-ubyte.gz').unlink()
    with pytest.raises(FileNotFoundError, match='train-labels-idx1-ubyte'):
        MNIST(str(tmp_path))


def test_npz_with_too_few_labels(tmp_path):
    images = np.zeros((5, 28, 28), np.uint8)
    labels = np.zeros(3, np.uint8)
    np.savez(tmp_path / 'mnist.npz', train_images=images, train_labels=labels)
    with pytest.raises(ValueError, match="'train': 5 images, but 3 labels"):
        MNIST(str(tmp_path))


def test_npz_lacks_an_array(tmp_path):
    write_npz(tmp_path / 'svhn.npz', (32, 32, 3), ['train', 'test'])
    with pytest.raises(KeyError, match='extra_images.*only train_images'):
        SVHN(str(tmp_path), 'extra')


@pytest.mark.parametrize('dataset', [MNIST, SVHN])
def test_unknown_split(tmp_path, dataset):
    with pytest.raises(ValueError, match="split='val': expected one of train"):
        dataset(str(tmp_path), 'val')


def loaders(path, root):
    """The data loaders of a base config, without workers, on ``root``: for
    training, validation and test."""
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            dataset.data_root = str(root)
        yield Runner.build_dataloader(loader)


@pytest.mark.parametrize(
    'name,shape,sizes',
    [('mnist', (28, 28), [12, 12, 10]), ('svhn', (32, 32, 3), [23, 23, 10])],
)
def test_base_configs(tmp_path, name, shape, sizes):
    """Of fewer images than each share wants, all are in it."""
    write_npz(tmp_path / f'{name}.npz', shape)
    path = f'configs/_base_/datasets/{name}.py'
    for size, loader in zip(sizes, loaders(path, tmp_path)):
        assert len(loader.dataset) == size
        batch = next(iter(loader))
        assert batch['inputs'][0].shape == (3, *shape[:2])
        assert batch['inputs'][0].dtype == torch.uint8
        labels = [int(sample.gt_label) for sample in batch['data_samples']]
        assert set(labels) <= set(range(10)) and len(set(labels)) > 5


def test_shares_of_the_training_images():
    """80% and 20% of the paper's 60,000 and 73,257 + 126,743 images."""

    def shares(path, split):
        dataset = Config.fromfile(path)[f'{split}_dataloader'].dataset
        parts = dataset.get('datasets', [dataset])
        return {part.split: part.indices for part in parts}

    path = 'configs/_base_/datasets/mnist.py'
    assert shares(path, 'train') == dict(train=48_000)
    assert shares(path, 'val') == dict(train=48_000 - 60_000)
    path = 'configs/_base_/datasets/svhn.py'
    train, val = shares(path, 'train'), shares(path, 'val')
    assert train['train'] - val['train'] == 73_257
    assert train['extra'] - val['extra'] == 126_743
    assert sum(train.values()) == 0.8 * 200_000


def test_augmentation_shifts_and_rotates_before_all_else(tmp_path):
    """A dot in the middle, which rotation leaves there, moves by up to 3
    whole pixels either way; one beside it moves more, by up to 10 degrees."""
    images = np.zeros((400, 28, 28), np.uint8)
    images[:, 13:15, 13:15] = 255
    np.savez(
        tmp_path / 'mnist.npz',
        train_images=images,
        train_labels=np.zeros(400, np.uint8),
    )
    cfg = Config.fromfile('configs/_base_/datasets/mnist.py')
    init_default_scope(cfg.default_scope)
    dataset = MNIST(str(tmp_path), pipeline=cfg.train_pipeline)
    moves = np.array([_middle(one['inputs'][0]) for one in dataset]) - 13.5
    assert set(np.rint(moves).ravel()) == set(range(-3, 4))
    np.testing.assert_allclose(moves, np.rint(moves), atol=0.1)

    images[:, 13:15, 13:15] = 0
    images[:, 13:15, 23:25] = 255
    np.savez(
        tmp_path / 'mnist.npz',
        train_images=images,
        train_labels=np.zeros(400, np.uint8),
    )
    dataset = MNIST(str(tmp_path), pipeline=cfg.train_pipeline)
    rows = np.array([_middle(one['inputs'][0])[0] for one in dataset]) - 13.5
    reach = 3 + 10 * np.sin(np.deg2rad(10))
    assert reach - 0.7 < np.abs(rows).max() < reach + 0.2


def _middle(image):
    """Centre of mass of a grey image, (H, W)."""
    image = image.numpy().astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return (image * y).sum() / image.sum(), (image * x).sum() / image.sum()
