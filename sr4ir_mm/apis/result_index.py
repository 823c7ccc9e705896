"""What has been predicted so far, a row of JSON an image."""

import glob
import json
import os
import os.path as osp
from contextlib import suppress
from typing import Dict, Iterable, List, TextIO, Tuple

from sr4ir_mm.utils.files import remove_parts, whole_file


class ResultIndex:
    """``results.jsonl`` of a folder: a row for each image, once its files are
    there. Several processes, each with its share of the images, have files of
    their own, which become one when all images have a row.

    A row has the image's ``name``, and ``files`` and ``prediction``, or the
    reason why it was ``skipped``.

    Args:
        folder (str): Of the results.
        about (dict): What they depend on; kept in ``results.json``.
        share (tuple[int, int]): Which process this is, from 0 on, and how
            many there are.
        resume (bool): Whether to go on with what is there.

    Raises:
        ValueError: If what is there depends on something else, or several
            processes would each begin anew.
    """

    def __init__(
        self, folder: str, about: dict, share: Tuple[int, int], resume: bool
    ) -> None:
        self.folder = folder
        rank, world = share
        part = '' if world == 1 else f'.{rank}-of-{world}'
        self.path = osp.join(folder, f'results{part}.jsonl')
        self.rows: Dict[str, dict] = {}
        if resume:
            self._check(about)
            self.rows = self._read_all()
        elif world > 1:
            raise ValueError(
                'Several processes share a folder of results: say --resume, '
                'so that none takes away what another has written.'
            )
        else:
            for path in self._paths():
                os.remove(path)
        with whole_file(osp.join(folder, 'results.json')) as file:
            with _open(file, 'w') as opened:
                json.dump(about, opened, indent=1)
        _end_with_a_row(self.path)
        self._file = _open(self.path, 'a')

    def _check(self, about: dict) -> None:
        path = osp.join(self.folder, 'results.json')
        if not osp.isfile(path):
            return
        try:
            with _open(path) as file:
                before = dict(json.load(file))
        except (TypeError, ValueError) as error:
            raise ValueError(_damaged(path)) from error
        for key, value in about.items():
            if before.get(key) != value:
                raise ValueError(
                    f'{self.folder} has results with {key}='
                    f'{before.get(key)!r}, and --resume would add some with '
                    f'{value!r}: give another --out-dir, or begin anew, '
                    'without --resume.'
                )

    def _paths(self) -> List[str]:
        return sorted(
            glob.glob(osp.join(glob.escape(self.folder), 'results*.jsonl'))
        )

    def _read_all(self) -> Dict[str, dict]:
        """All rows, by names; once more where another process has made one
        file of all meanwhile."""
        while True:
            rows = {}
            try:
                for path in self._paths():
                    rows.update(_read(path))
            except FileNotFoundError:
                continue
            return rows

    def add(self, name: str, **row) -> None:
        """A row of an image, on the disk when this returns."""
        self._file.write(_as_line(dict(name=name, **row)))
        self._file.flush()

    def finish(self, names: Iterable[str]) -> None:
        """Make one file of all, in this order, if no image lacks a row."""
        self._file.close()
        rows = self._read_all()
        names = list(dict.fromkeys(names))
        if not all(name in rows for name in names):
            return
        whole = osp.join(self.folder, 'results.jsonl')
        with whole_file(whole) as part:
            with _open(part, 'w') as file:
                file.writelines(_as_line(rows[name]) for name in names)
        for name in ('', 'vis', 'sr', 'pred'):
            remove_parts(osp.join(self.folder, name))
        for path in self._paths():
            if path != whole:
                with suppress(FileNotFoundError):
                    os.remove(path)


def _as_line(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False) + '\n'


def _open(path: str, mode: str = 'r') -> TextIO:
    """What of a file's name is no text becomes an escape of JSON."""
    return open(path, mode, encoding='utf-8', errors='backslashreplace')


def _read(path: str) -> Dict[str, dict]:
    """Its rows, by the names of images; the last may have been cut short."""
    rows = {}
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith('\n'):
                break
            try:
                row = json.loads(line)
                rows[row['name']] = row
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    _damaged(f'{path}, line {number},')
                ) from error
    return rows


def _damaged(what: str) -> str:
    return (
        f'{what} is not as it was written: mend it, or begin anew, without '
        '--resume.'
    )


def _end_with_a_row(path: str) -> None:
    """Take away what a process wrote of a row when it was killed."""
    with suppress(FileNotFoundError):
        with open(path, 'rb+') as file:
            content = file.read()
            file.truncate(content.rfind(b'\n') + 1)
