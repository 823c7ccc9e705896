"""Tar shards in WebDataset's layout."""

import io
import re
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_data import write_image

from sr4ir_mm.apis import shards
from sr4ir_mm.apis.sources import find_inputs, read_image


def write_shard(path, members, mode='w'):
    """Of names and what they hold: an image, by its seed, or bytes."""
    path.parent.mkdir(exist_ok=True, parents=True)
    with tarfile.open(path, mode) as tar:
        for number, (name, content) in enumerate(members):
            if content is None:
                file = path.with_name(f'{number}{Path(name).suffix}')
                write_image(file, seed=number)
                content = file.read_bytes()
                file.unlink()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def names(images):
    return [re.sub(r'.*/([^/]*\.tar)', r'\1', str(image)) for image in images]


def list_of(path, *members):
    files = [(name, b'content') for name in members]
    return names(find_inputs(write_shard(path, files)))


def test_one_image_of_each_sample(tmp_path):
    """The one that has the key alone before its extension."""
    path = tmp_path / 's.tar'
    assert list_of(
        path,
        *('a/0001.png', 'a/0001.JPG', 'a/0001.seg.png', 'a/0001.json'),
        *('a/0002.txt', 'b.v1/0001.webp', '._0003.png', '__meta__'),
        *('0004.left.png', '0004.right.png', 'IMG.2020.1.png'),
    ) == [
        *('s.tar/a/0001.JPG', 's.tar/b.v1/0001.webp'),
        *('s.tar/0004.left.png', 's.tar/0004.right.png'),
        's.tar/IMG.2020.1.png',
    ]


def test_a_member_is_read_as_its_file(tmp_path):
    write_image(tmp_path / 'one.png', seed=3)
    content = (tmp_path / 'one.png').read_bytes()
    grey = np.full((4, 4), 4000, np.uint16)  # 12 of 16 bits
    grey = cv2.imencode('.png', grey)[1].tobytes()
    path = write_shard(
        tmp_path / 's.tar',
        [('x.json', b'{}'), ('y.png', content), ('z.png', grey)],
    )
    one, dark = find_inputs(path)
    expected = read_image(tmp_path / 'one.png')
    np.testing.assert_array_equal(read_image(one), expected)
    with pytest.raises(ValueError, match='only the lower 12 are used'):
        read_image(dark)


def test_where_shards_come_from(tmp_path):
    for i in (8, 9, 10):
        write_shard(tmp_path / f's-{i:03d}.tar', [(f'{i}.png', b'')])
    all_of_them = [f's-{i:03d}.tar/{i}.png' for i in (8, 9, 10)]
    for inputs in (
        tmp_path,
        f'{tmp_path}/*.tar',
        tmp_path / 's-{008..010}.tar',
        f'{tmp_path}/s-0{{08,09,1?}}.tar',
        sorted(tmp_path.iterdir()),
        find_inputs(tmp_path),
    ):
        assert names(find_inputs(inputs)) == all_of_them
    backwards = names(find_inputs(f'{tmp_path}/s-0{{10..08}}.tar'))
    assert backwards == all_of_them[::-1]


def test_what_is_not_there(tmp_path):
    write_shard(tmp_path / 's-0.tar', [('a.txt', b'')])
    write_shard(tmp_path / 's-1.tar.gz', [('a.png', b'')], 'w:gz')
    with pytest.raises(FileNotFoundError, match=r's-2\.tar'):
        find_inputs(f'{tmp_path}/s-{{0,2}}.tar')
    with pytest.raises(ValueError, match=r's-0\.tar.*have no images'):
        find_inputs(tmp_path)
    with pytest.raises(ValueError, match='is compressed.*unpack'):
        find_inputs(tmp_path / 's-1.tar.gz')


DAMAGES = dict(
    header=lambda raw, at: raw[:at] + b'\xff' + raw[at + 1 :],
    between=lambda raw, at: raw[:at],
    inside=lambda raw, at: raw[: at + 512 + 300],
    in_header=lambda raw, at: raw[: at + 100],
)


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_shard_is_named(tmp_path, damage):
    """`tarfile` and WebDataset take the first and the second for its end."""
    members = [(f'{i}.png', bytes(1000)) for i in range(5)]
    path = write_shard(tmp_path / 's.tar', members)
    at = 3 * (512 + 1024)
    path.write_bytes(DAMAGES[damage](path.read_bytes(), at))
    found = find_inputs(path)
    whole = ['s.tar/0.png', 's.tar/1.png', 's.tar/2.png']
    cut = ['s.tar/3.png'] * (damage == 'inside')
    assert names(found) == [*whole, *cut, 's.tar']
    assert len(found[2].read()) == 1000
    for image in found[3:]:
        with pytest.raises(ValueError, match='read as tar|300 of 1000 bytes'):
            read_image(image)


@pytest.mark.parametrize('content', [b'', b'no tar', b'\x1f\x8b' + bytes(999)])
def test_what_is_no_tar(tmp_path, content):
    (tmp_path / 's.tar').write_bytes(content)
    (image,) = find_inputs(tmp_path / 's.tar')
    with pytest.raises(ValueError, match='cannot be read as tar'):
        read_image(image)


def test_a_name_twice(tmp_path, caplog):
    """As `tar --append` leaves it."""
    path = write_shard(tmp_path / 's.tar', [('a.png', b'1'), ('a.png', b'2')])
    write_shard(path, [('b.png', b'3'), ('a.png', b'4')], 'a')
    found = find_inputs(path)
    assert [(image.name, image.read()) for image in found] == [
        ('a.png', b'4'),
        ('b.png', b'3'),
    ]
    assert 'a.png is there twice' in caplog.text


def test_files_stay_in_their_folder():
    image = shards.Member('in/s.tar', '../../etc/x.png', 0, 0)
    assert image.file_name == 's_.._.._etc_x.png'
