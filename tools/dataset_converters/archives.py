"""What the scripts of this folder share: unpacking and checking."""

from __future__ import annotations

import gzip
import os
import os.path as osp
import shutil
import tarfile
import tempfile
import zlib
from typing import TYPE_CHECKING, Dict

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset


DAMAGES = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)


def unpack(archive: str, name: str, out_dir: str) -> None:
    """Unpack the folder ``name`` of a gzipped tar archive into ``out_dir``.

    The folder appears when all of it is there, so that an interrupted run
    leaves nothing behind that looks complete.

    Raises:
        ValueError: If the archive is damaged, is not what it should be or
            wants to write elsewhere.
    """
    os.makedirs(out_dir, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix='.unpack_') as temp:
        try:
            _extract(archive, temp)
        except DAMAGES as error:
            raise ValueError(
                f'{archive} cannot be unpacked ({error}): download it again.'
            ) from error
        if not osp.isdir(osp.join(temp, name)):
            raise ValueError(
                f'{archive} holds no folder {name!r}: it is not the '
                'distributed file, or only a part of it. Download it again.'
            )
        os.replace(osp.join(temp, name), osp.join(out_dir, name))


def _extract(archive: str, folder: str) -> None:
    # As a stream: a list of its members would mean to decompress it twice.
    from tqdm import tqdm

    with open(archive, 'rb') as raw, tqdm.wrapattr(
        raw,
        'read',
        total=osp.getsize(archive),
        desc=f'Unpacking {osp.basename(archive)}',
    ) as file, gzip.GzipFile(fileobj=file) as stream, tarfile.open(
        fileobj=stream, mode='r|'
    ) as tar:
        # Python has it from 3.8.17, 3.9.17, 3.10.12 and 3.11.4
        tar.extraction_filter = getattr(
            tarfile, 'data_filter', lambda member, path: member
        )
        for member in tar:
            _check_member(archive, member)
            tar.extract(member, folder)
        while stream.read(1 << 20):  # its checksum comes last
            pass


def _check_member(archive: str, member: tarfile.TarInfo) -> None:
    name = member.name
    inside = not osp.isabs(name) and '..' not in name.split('/')
    if not (inside and (member.isfile() or member.isdir())):
        raise ValueError(
            f'{archive} holds {name!r}, a link or a path that leaves the '
            'folder: this is not the distributed file, do not use it.'
        )


def copy_file(source: str, target: str) -> None:
    """Copy a file; an interrupted run leaves no part of it behind."""
    os.makedirs(osp.dirname(target), exist_ok=True)
    shutil.copyfile(source, f'{target}.part')
    os.replace(f'{target}.part', target)


def require_file(path: str, remedy: str) -> None:
    """
    Raises:
        FileNotFoundError: If there is no such file, or it is empty.
    """
    if not osp.isfile(path) or not osp.getsize(path):
        raise FileNotFoundError(f'{path} is missing or empty: {remedy}')


def check(
    datasets: Dict[str, BaseDataset],
    sizes: Dict[str, int],
    num_classes: int,
    remedy: str,
) -> None:
    """Check what a toolbox's data set reads: sizes, classes, images.

    Args:
        datasets (dict[str, BaseDataset]): Of mmpretrain, by split.
        sizes (dict[str, int]): Number of images, by split.
        num_classes (int): How many there are in each split.
        remedy (str): What to do if an image is missing.

    Raises:
        ValueError: If a number is another one.
        FileNotFoundError: If an image is missing.
    """
    from tqdm import tqdm

    for split, dataset in datasets.items():
        source = f'{dataset.ann_file}, split {split!r}:'
        _check_number(source, 'images', len(dataset), sizes[split])
        labels = set(dataset.get_gt_labels().tolist())
        _check_number(source, 'classes', len(labels), num_classes)
        for index in tqdm(range(len(dataset)), desc=f'Checking {split}'):
            path = dataset.get_data_info(index)['img_path']
            require_file(path, remedy)


def _check_number(source: str, what: str, found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(
            f'{source} {found} {what} instead of {expected}. It is not the '
            'distributed file: unpack that once more.'
        )
