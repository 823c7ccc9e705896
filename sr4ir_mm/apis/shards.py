"""Images in tar files, in the layout of WebDataset.

The files of a sample follow each other, and have one name up to its first
dot: ``0001.jpg``, ``0001.json``. They are read one by one, from where they lie
in the shard, by Python's own ``tarfile``: to the package ``webdataset``, a
damaged shard is one that ends there.
"""

import logging
import os.path as osp
import tarfile
from itertools import groupby
from typing import Iterator, List, NamedTuple, Sequence


class Member(NamedTuple):
    """An image inside of a shard, or what is wrong with the rest of one.

    Args:
        shard (str): Path of the tar file.
        name (str): Of the image's file in it.
        start (int): Where in the shard its content begins, in bytes.
        size (int): How many bytes it has.
        damage (str): Why nothing more can be read. Defaults to ''.
    """

    shard: str
    name: str
    start: int
    size: int
    damage: str = ''

    def __str__(self) -> str:
        return self.shard if self.damage else f'{self.shard}/{self.name}'

    @property
    def file_name(self) -> str:
        """Of a file beside those of other members and shards."""
        shard = osp.splitext(osp.basename(self.shard))[0]
        return f'{shard}_{self.name}'.replace('/', '_')

    @property
    def key(self) -> str:
        folder, name = osp.split(self.name)
        return osp.join(folder, name.split('.')[0])

    def read(self) -> bytes:
        """
        Raises:
            ValueError: If it is not there as a whole.
        """
        if self.damage:
            raise ValueError(self.damage)
        with open(self.shard, 'rb') as file:
            file.seek(self.start)
            content = file.read(self.size)
        if len(content) < self.size:
            raise ValueError(
                f'ends after {len(content)} of {self.size} bytes, with its '
                'shard'
            )
        return content


def list_shard(path: str, extensions: Sequence[str]) -> List[Member]:
    """The images of a shard, of which the headers alone are read: one of each
    sample.

    Of several, this is the one whose extension is all that follows its key,
    and comes first in ``extensions``; where there is none such
    (``0001.left.png``, ``0001.right.png``), it is all of them.

    Args:
        path (str): A tar file, not compressed.
        extensions (Sequence[str]): Of images: ``.jpg`` ...

    Returns:
        list[Member]: In their order; the last may say why the rest of the
        shard cannot be read.
    """
    found = {}
    for _, files in groupby(_list_files(path), lambda file: file.key):
        for file in _images(list(files), extensions):
            if str(file) in found:
                logging.getLogger('sr4ir_mm').warning(
                    '%s is there twice: the last one counts, as for tar.', file
                )
            found[str(file)] = file
    return list(found.values())


def _images(files: List[Member], extensions: Sequence[str]) -> List[Member]:
    images = [
        file
        for file in files
        if file.damage or osp.splitext(file.name)[1].lower() in extensions
    ]
    plain = {file.name[len(file.key) :].lower(): file for file in images}
    first = [plain[suffix] for suffix in extensions if suffix in plain][:1]
    return first or images


def _list_files(path: str) -> Iterator[Member]:
    """All but hidden files, as WebDataset does."""
    try:
        with tarfile.open(path, 'r:', tarinfo=_Header) as tar:
            for info in iter(tar.next, None):
                tar.members.clear()  # it would keep all
                hidden = osp.basename(info.name).startswith('.')
                if info.isfile() and not hidden:
                    yield Member(path, info.name, info.offset_data, info.size)
    except (tarfile.TarError, OSError) as error:
        reason = getattr(error, 'strerror', None) or error
        yield Member(path, '', 0, 0, f'cannot be read as tar ({reason})')


class _Header(tarfile.TarInfo):
    """``tarfile`` takes all that is no header for the end of the archive, but
    in the place of the first."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(
                f'{error} at byte {tar.offset}: nothing after it is read'
            ) from error
