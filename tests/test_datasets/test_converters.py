"""The scripts of tools/dataset_converters, on tiny archives."""

import io
import shutil
import sys
import tarfile

import numpy as np
import pytest
from fake_data import write_cars, write_cub
from mmengine.fileio import list_dir_or_file
from PIL import Image
from scipy.io import savemat

SMALL = dict(train=4, test=2)


def pack(archive, folder):
    with tarfile.open(archive, 'w:gz') as tar:
        tar.add(folder, folder.name)


def files(root):
    return {
        path: (root / path).stat().st_mtime_ns
        for path in list_dir_or_file(str(root), list_dir=False, recursive=True)
    }


@pytest.fixture
def load(monkeypatch):
    """Import a script, for small data sets unless they are to be real."""

    def _load(name, real=False):
        monkeypatch.syspath_prepend('tools/dataset_converters')
        module = __import__(name)
        if not real:
            monkeypatch.setattr(module, 'SIZES', SMALL, raising=False)
            monkeypatch.setattr(module, 'NUM_CLASSES', 2)
        return module

    return _load


@pytest.fixture
def cub_archive(tmp_path):
    folder = tmp_path / 'CUB_200_2011'
    write_cub(folder)
    pack(tmp_path / 'CUB_200_2011.tgz', folder)
    shutil.rmtree(folder)
    return tmp_path / 'CUB_200_2011.tgz'


@pytest.fixture
def cars(tmp_path):
    """Stanford Cars as distributed: three archives and a file."""
    folder = tmp_path / 'downloads'
    write_cars(folder)
    labels = 'cars_test_annos_withlabels.mat'
    (folder / 'devkit' / labels).rename(folder / labels)
    for name, archive in (
        ('cars_train', 'cars_train'),
        ('cars_test', 'cars_test'),
        ('devkit', 'car_devkit'),
    ):
        pack(folder / f'{archive}.tgz', folder / name)
        shutil.rmtree(folder / name)
    return folder


def test_cub_is_unpacked_once(load, cub_archive, tmp_path):
    cub = load('cub')
    out = tmp_path / 'data'
    root = cub.prepare(str(cub_archive), str(out))
    assert root == str(out / 'CUB_200_2011')
    written = files(out)
    assert len(written) == 3 + 6
    cub_archive.unlink()
    assert cub.prepare(str(cub_archive), str(out)) == root
    assert cub.prepare(root, 'elsewhere') == root
    assert files(out) == written


def test_cub_command_line(load, cub_archive, tmp_path, monkeypatch, capsys):
    cub = load('cub')
    out = tmp_path / 'data'
    monkeypatch.setattr(
        sys, 'argv', ['cub.py', str(cub_archive), '--out-dir', str(out)]
    )
    cub.main()
    assert str(out / 'CUB_200_2011') in capsys.readouterr().out


def test_cub_counts_are_checked(load, cub_archive, tmp_path):
    cub = load('cub', real=True)
    with pytest.raises(
        ValueError, match="images.txt, split 'train': 4 images instead of 5994"
    ):
        cub.prepare(str(cub_archive), str(tmp_path))


def test_cub_classes_are_checked(load, tmp_path):
    cub = load('cub')
    write_cub(tmp_path / 'CUB', num_classes=1)
    with pytest.raises(ValueError, match="'train': 1 classes instead of 2"):
        cub.prepare(str(tmp_path / 'CUB'), 'unused')


@pytest.mark.parametrize(
    'lost', ['images/002.Bird/Bird_0003.jpg', 'train_test_split.txt']
)
def test_cub_missing_file_is_named(load, tmp_path, lost):
    cub = load('cub')
    write_cub(tmp_path / 'CUB')
    (tmp_path / 'CUB' / lost).unlink()
    with pytest.raises(
        FileNotFoundError, match=f'{lost} is missing or empty: '
    ):
        cub.prepare(str(tmp_path / 'CUB'), 'unused')


def test_no_archive(load, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match='none.tgz is missing .*: give the path of CUB_',
    ):
        load('cub').prepare(str(tmp_path / 'none.tgz'), str(tmp_path))


def test_cars_are_unpacked_once(load, cars, tmp_path):
    script = load('stanford_cars')
    out = tmp_path / 'data'
    assert script.prepare(str(cars), str(out)) == str(out)
    written = files(out)
    assert len(written) == 2 + 6
    shutil.rmtree(cars)
    script.prepare(str(cars), str(out))
    assert files(out) == written


def test_cars_in_place(load, cars, monkeypatch):
    script = load('stanford_cars')
    monkeypatch.setattr(sys, 'argv', ['stanford_cars.py', str(cars)])
    script.main()
    assert len(files(cars)) == 4 + 2 + 6


def test_cars_counts_are_checked(load, cars):
    script = load('stanford_cars', real=True)
    with pytest.raises(
        ValueError, match='annos.mat.*: 4 images instead of 8144'
    ):
        script.prepare(str(cars), str(cars))


@pytest.mark.parametrize(
    'lost', ['cars_test.tgz', 'cars_test_annos_withlabels.mat']
)
def test_cars_missing_download_is_named(load, cars, lost):
    (cars / lost).unlink()
    with pytest.raises(
        FileNotFoundError, match=f'{lost} is missing or empty: '
    ):
        load('stanford_cars').prepare(str(cars), str(cars))


def test_cars_missing_image_is_named(load, cars):
    script = load('stanford_cars')
    script.prepare(str(cars), str(cars))
    (cars / 'cars_test' / '00002.jpg').unlink()
    with pytest.raises(
        FileNotFoundError,
        match='cars_test/00002.jpg is missing .*: delete',
    ):
        script.prepare(str(cars), str(cars))


@pytest.fixture
def cars_copy(tmp_path):
    """The public copy: 2 classes of 20 images, red and blue swapped."""
    folder = tmp_path / 'copy'
    (folder / 'cars_train').mkdir(parents=True)
    names = np.array([['A/C 1'], ['B 2']], object)
    savemat(folder / 'cars_meta.mat', {'class_names': names.reshape(1, 2)})
    labels = [1 + i % 2 for i in range(40)]
    (folder / 'train_perfect_preds.txt').write_text(
        ''.join(f'{label}\n' for label in labels)
    )
    for i in range(1, 41):
        image = Image.new('RGB', (40, 30), (0, 0, 250))  # it was red
        image.save(folder / 'cars_train' / f'{i:05d}.jpg')
    return folder


def test_cars_by_class(load, cars_copy, tmp_path, monkeypatch, capsys):
    script = load('cars_by_class')
    monkeypatch.setattr(script, 'NUM_IMAGES', 40)
    found = []
    for out in (tmp_path / 'first', tmp_path / 'again'):
        argv = ['cars_by_class.py', str(cars_copy), str(out)]
        monkeypatch.setattr(sys, 'argv', [*argv, '--short-side', '12'])
        script.main()
        found.append(sorted(files(out)))
    assert found[0] == found[1]  # one split for all
    assert "'train': 24, 'val': 6, 'test': 10" in capsys.readouterr().out
    assert {path.split('/')[1] for path in found[0]} == {'A-C 1', 'B 2'}
    with Image.open(tmp_path / 'first' / found[0][0]) as image:
        assert image.size == (16, 12)
        red, green, blue = image.getpixel((8, 6))
    assert red > 200 and max(green, blue) < 50


def test_cars_by_class_takes_every_nth(load, cars_copy, tmp_path, monkeypatch):
    script = load('cars_by_class')
    monkeypatch.setattr(script, 'NUM_IMAGES', 40)
    out = tmp_path / 'out'
    argv = ['cars_by_class.py', str(cars_copy), str(out), '--every', '2']
    monkeypatch.setattr(sys, 'argv', argv)
    script.main()
    assert {path.split('/')[1] for path in files(out)} == {'A-C 1'}


def test_cars_by_class_counts_labels(load, cars_copy):
    with pytest.raises(ValueError, match='40 images in 2 classes instead'):
        load('cars_by_class').read_labels(str(cars_copy))


def outside():
    return tarfile.TarInfo('CUB_200_2011/../../evil')


def absolute():
    return tarfile.TarInfo('/tmp/evil')


def link():
    member = tarfile.TarInfo('CUB_200_2011/images')
    member.type, member.linkname = tarfile.SYMTYPE, '/tmp'
    return member


@pytest.mark.parametrize('member', [outside, absolute, link])
def test_unsafe_members_are_refused(load, tmp_path, member):
    archive = tmp_path / 'CUB_200_2011.tgz'
    with tarfile.open(archive, 'w:gz') as tar:
        tar.addfile(member(), io.BytesIO())
    out = tmp_path / 'data'
    with pytest.raises(ValueError, match='do not use it'):
        load('cub').prepare(str(archive), str(out))
    assert not list(out.iterdir()) and not (tmp_path / 'evil').exists()


@pytest.mark.parametrize(
    'damage',
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-6] + b'!' + data[-5:],  # of the checksum
        lambda data: b'<html>Not found</html>',
    ],
)
def test_damaged_archive(load, cub_archive, tmp_path, damage):
    cub_archive.write_bytes(damage(cub_archive.read_bytes()))
    out = tmp_path / 'data'
    with pytest.raises(ValueError, match='download it again'):
        load('cub').prepare(str(cub_archive), str(out))
    assert not list(out.iterdir())


def test_another_archive(load, tmp_path):
    (tmp_path / 'other').mkdir()
    pack(tmp_path / 'CUB_200_2011.tgz', tmp_path / 'other')
    with pytest.raises(ValueError, match="no folder 'CUB_200_2011'"):
        load('cub').prepare(
            str(tmp_path / 'CUB_200_2011.tgz'), str(tmp_path / 'data')
        )
