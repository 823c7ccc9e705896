"""Where what a census has found is kept, and how long it holds."""

import hashlib
import json
import os
import os.path as osp
import pickle
from pathlib import Path
from typing import Iterator, List, Optional, Set, Tuple

from sr4ir_mm.utils.files import whole_file

from .census_reader import CensusReader

_VERSION = 2  # of what is kept in files


class CensusStore:
    """Keeps what was found in a data set beside its annotations, until these
    or a file change.

    Args:
        reader (CensusReader): Of the data set.
    """

    def __init__(self, reader: CensusReader) -> None:
        self.reader = reader
        self.dataset = reader.dataset
        self.places = self._find_places()
        self.key = self._find_key()

    def recall(self) -> Optional[dict]:
        """What was kept, or None if it holds no longer."""
        for path in self.places:
            try:
                with open(path) as file:
                    kept = json.load(file)
                if kept.pop('key') == self.key:
                    return kept
            except (OSError, ValueError, KeyError, AttributeError):
                continue
        return None

    def keep(self, found: dict) -> None:
        """Keep plain data, in the first place that can be written to."""
        for path in self.places:
            try:
                with whole_file(path) as part, open(part, 'w') as file:
                    json.dump(dict(found, key=self.key), file)
                return
            except OSError:  # a folder of somebody else
                continue

    def _find_places(self) -> List[str]:
        """Best place first: hidden files, which no toolbox takes for data."""
        source = osp.abspath(self.reader.source)
        folder = osp.dirname(source) if osp.isfile(source) else source
        identity = f'{source} {self.reader.name}'.encode()
        file = f'.sr4ir_mm-census-{hashlib.sha1(identity).hexdigest()[:12]}'
        home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        return [
            osp.join(folder, f'{file}.json'),
            osp.join(home, 'sr4ir_mm', 'census', f'{file}.json'),
        ]

    def _find_key(self) -> str:
        """What the census depends on, as a hash: annotations as they were
        read, and size and time of all files."""
        reader, dataset = self.reader, self.dataset
        notes = ('num_filtered', 'left_out', 'unknown_names', 'filter_cfg')
        settings = (
            _VERSION,
            type(dataset).__name__,
            [vars(dataset).get(note) for note in notes],
            reader.classes,
            reader.palette,
            reader.name,
            reader.scale,
            sorted(reader.ignored),
            reader.drops_boxes,
            len(reader.convert),
            reader.ignores_nodata,
            [
                (type(load).__name__, vars(load))
                for load in (reader.load, reader.raster)
                if load is not None
            ],
        )
        digest = hashlib.sha1(repr(settings).encode())
        if dataset.serialize_data:
            digest.update(dataset.data_bytes)
        else:
            digest.update(pickle.dumps(dataset.data_list))
        for folder in sorted(self._folders()):
            for path, size, time in files_of(folder):
                digest.update(f'{path} {size} {time}\n'.encode())
        return digest.hexdigest()

    def _folders(self) -> Set[str]:
        """Those of the first image and its labels, and those configured."""
        folders = {
            value
            for value in (self.dataset.data_prefix or {}).values()
            if isinstance(value, str) and value
        }
        if len(self.dataset):
            info = self.dataset.get_data_info(0)
            for key in ('img_path', 'seg_map_path'):
                if isinstance(info.get(key), str):
                    folders.add(osp.dirname(info[key]))
        return {osp.abspath(f) for f in folders if osp.isdir(f)}


def files_of(folder: str) -> Iterator[Tuple[str, int, int]]:
    """Path, size and time of all files below a folder, in order; hidden ones
    are none."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if not name.startswith('.'):
                path = osp.join(root, name)
                try:
                    found = os.stat(path)
                except OSError:
                    continue  # a broken link is found when it is read
                yield path, found.st_size, found.st_mtime_ns
