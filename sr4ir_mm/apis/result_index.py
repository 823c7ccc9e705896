"""What has been predicted so far, a row of JSON an image."""

import glob
import json
import os
import os.path as osp
from contextlib import suppress
from typing import Dict, Iterable, List, Tuple

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
        os.makedirs(folder, exist_ok=True)
        self.rows: Dict[str, dict] = {}
        if resume:
            self._check(about)
            for path in self._paths():
                self.rows.update((row['name'], row) for row in _read(path))
        elif world > 1:
            raise ValueError(
                'Several processes share a folder of results: say --resume, '
                'so that none takes away what another has written.'
            )
        else:
            for path in self._paths():
                os.remove(path)
        with whole_file(osp.join(folder, 'results.json')) as file:
            with open(file, 'w', encoding='utf-8') as opened:
                json.dump(about, opened, indent=1)
        _end_with_a_row(self.path)
        self._file = open(self.path, 'a', encoding='utf-8')

    def _check(self, about: dict) -> None:
        try:
            with open(osp.join(self.folder, 'results.json')) as file:
                before = json.load(file)
        except FileNotFoundError:
            return
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

    def add(self, name: str, **row) -> None:
        """A row of an image, on the disk when this returns."""
        self._file.write(_as_line(dict(name=name, **row)))
        self._file.flush()

    def finish(self, names: Iterable[str]) -> None:
        """Make one file of all, in this order, if no image lacks a row."""
        self._file.close()
        paths, rows = self._paths(), {}
        try:
            for path in paths:
                rows.update((row['name'], row) for row in _read(path))
        except FileNotFoundError:  # another process has just made it
            return
        names = list(dict.fromkeys(names))
        if not all(name in rows for name in names):
            return
        whole = osp.join(self.folder, 'results.jsonl')
        with whole_file(whole) as part:
            with open(part, 'w', encoding='utf-8') as file:
                file.writelines(_as_line(rows[name]) for name in names)
        for name in ('', 'vis', 'sr', 'pred'):
            remove_parts(osp.join(self.folder, name))
        for path in paths:
            if path != whole:
                with suppress(FileNotFoundError):
                    os.remove(path)


def _as_line(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False) + '\n'


def _read(path: str) -> List[dict]:
    """Its rows; the last may have been cut short."""
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file if line.endswith('\n')]


def _end_with_a_row(path: str) -> None:
    """Take away what a process wrote of a row when it was killed."""
    if not osp.isfile(path):
        return
    with open(path, 'rb+') as file:
        content = file.read()
        file.truncate(content.rfind(b'\n') + 1)
