"""A census: what is in a data set, and what is wrong with it, before it is
used."""

import os
import os.path as osp
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from multiprocessing import get_context
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from rich.progress import track

from sr4ir_mm.utils.images import IMG_EXTENSIONS, DataError, blank_line
from sr4ir_mm.utils.mistakes import few

from .census_reader import CensusReader
from .census_store import CensusStore, files_of

_CHUNK = 256  # images that a process reads at a time
_PARALLEL = 512  # from so many images on, in several processes
_UNITS = dict(seg='pixels', det='boxes', cls='images')


@dataclass
class Census:
    """What is in a data set.

    Args:
        name (str): Of its data loader, such as ``train_dataloader``.
        kind (str): Its type.
        source (str): The file or folder that lists the images.
        classes (Sequence[str]): ``metainfo.classes``.
        num_images (int): Images that it gives.
        task (str): ``seg``, ``det`` or ``cls``, by its labels.
        counts (dict[int, int]): Pixels, boxes or images by class.
        ignored (int): Pixels or boxes without a class.
        sizes (dict[str, int]): Images by width and height, ``640x480``.
        formats (dict[str, int]): Images by bands and bits.
        small (list[int]): Boxes whose shorter side has less than one, and
            less than two, LR pixels.
        left_out (dict[str, int]): Images and boxes that are not used, by the
            reason.
        errors (dict[str, list]): What must be wrong: how many of each kind,
            and the first in words.
        warnings (dict[str, list]): What may be wrong, likewise.
    """

    name: str
    kind: str
    source: str
    classes: Sequence[str] = ()
    num_images: int = 0
    task: str = ''
    counts: Counter = field(default_factory=Counter)
    ignored: int = 0
    sizes: Counter = field(default_factory=Counter)
    formats: Counter = field(default_factory=Counter)
    small: List[int] = field(default_factory=lambda: [0, 0])
    left_out: Counter = field(default_factory=Counter)
    errors: Dict[str, list] = field(default_factory=dict)
    warnings: Dict[str, list] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What ``counts`` counts."""
        return _UNITS.get(self.task, 'labels')

    def error(self, kind: str, text: str) -> None:
        """Note what must be wrong."""
        self.errors.setdefault(kind, [0, text])[0] += 1

    def warn(self, kind: str, text: str) -> None:
        """Note what may be wrong."""
        self.warnings.setdefault(kind, [0, text])[0] += 1

    def add(self, other: 'Census') -> None:
        """Add what was found in other images of the same data set."""
        self.task = self.task or other.task
        self.ignored += other.ignored
        self.small = [a + b for a, b in zip(self.small, other.small)]
        for key in ('counts', 'sizes', 'formats'):
            getattr(self, key).update(getattr(other, key))
        for key in ('errors', 'warnings'):
            for kind, (number, text) in getattr(other, key).items():
                getattr(self, key).setdefault(kind, [0, text])[0] += number

    @classmethod
    def from_plain(cls, data: dict) -> 'Census':
        """Of what JSON made of ``vars`` of one."""
        data = dict(data)
        data['counts'] = {int(k): n for k, n in data['counts'].items()}
        for key in ('counts', 'sizes', 'formats', 'left_out'):
            data[key] = Counter(data[key])
        return cls(**data)

    def raise_errors(self) -> None:
        """Raise DataError for what must be wrong, if anything is."""
        if self.errors:
            raise DataError(' '.join(sentences(self.errors)))

    def __str__(self) -> str:
        """One line, for the log."""
        text = f'{self.name}: {self.num_images} images'
        if self.left_out:
            reasons = [f'{n} {why}' for why, n in self.left_out.items()]
            text += f' (left out: {", ".join(reasons)})'
        if self.sizes:
            most = 'all' if len(self.sizes) == 1 else 'mostly'
            text += f', {most} {self.sizes.most_common(1)[0][0]}'
        total = sum(self.counts.values())
        if total and self.classes:
            shares = [
                f'{name} {self.counts.get(label, 0) / total:.1%}'
                for label, name in enumerate(self.classes)
            ]
            text += f'; {self.unit}: {few(shares, 12)}'
        if self.small[1]:
            text += (
                f'; {self.small[0]} boxes are less than one LR pixel wide or '
                f'high, {self.small[1]} less than two'
            )
        return f'{text}.'


def sentences(found: Dict[str, list]) -> List[str]:
    """What was found, each kind once, with how many more there are."""
    return [
        text + f' ({number - 1} more like it.)' * (number > 1)
        for number, text in found.values()
    ]


@contextmanager
def counted_filters(cfg: Any) -> Iterator[None]:
    """Inside, data sets remember how many images their filter left out
    (``num_filtered``).

    Args:
        cfg (dict): The config of a data set.
    """
    owners = {}
    with DATASETS.switch_scope_and_registry(None) as registry:
        for kind in _types(cfg):
            found = registry.get(kind) if isinstance(kind, str) else kind
            for owner in getattr(found, '__mro__', ()):
                if 'filter_data' in vars(owner):
                    owners[owner] = owner.filter_data
    for owner, original in owners.items():
        owner.filter_data = _counting(original)
    try:
        yield
    finally:
        for owner, original in owners.items():
            owner.filter_data = original


def _counting(original):
    @wraps(original)
    def filter_data(self):
        number = len(self.data_list)
        kept = original(self)
        vars(self).setdefault('num_filtered', number - len(kept))
        return kept

    return filter_data


def _types(cfg: Any) -> Iterator[Any]:
    if isinstance(cfg, dict) and 'type' in cfg:
        yield cfg['type']
        yield from _types(cfg.get('dataset'))
        yield from _types(cfg.get('datasets'))
    elif isinstance(cfg, (list, tuple)):
        for item in cfg:
            yield from _types(item)


def leaves(dataset) -> Iterator[Any]:
    """The data sets that a data set is made of; itself, if of no others."""
    inner = getattr(dataset, 'datasets', None) or getattr(
        dataset, 'dataset', None
    )
    if inner is None or inner is dataset:
        yield dataset
    else:
        many = isinstance(inner, (list, tuple))
        for one in inner if many else [inner]:
            yield from leaves(one)


def take_census(
    dataset,
    name: str,
    scale: int = 1,
    ignored: Set[int] = frozenset(),
) -> List[Census]:
    """Count what is in a data set, once: what was found is kept beside the
    annotations, until these or a file change.

    Args:
        dataset: Of a toolbox, initialized.
        name (str): Of its data loader, such as ``train_dataloader``.
        scale (int): Factor between LR and HR. Defaults to 1.
        ignored (set[int]): Ids of masks that losses ignore.

    Returns:
        list[Census]: One for each data set that it is made of.
    """
    return [
        _take_one(leaf, CensusReader(leaf, name, scale, ignored))
        for leaf in leaves(dataset)
        if isinstance(leaf, BaseDataset)
    ]


def _take_one(dataset: BaseDataset, reader: CensusReader) -> Census:
    store = CensusStore(reader)
    kept = store.recall()
    if kept is not None:
        return Census.from_plain(kept)
    census = _new(reader)
    for part in _read(reader, len(dataset)):
        census.add(part)
    census.num_images = len(dataset)
    _judge(census, dataset)
    store.keep(vars(census))
    return census


def _new(reader: CensusReader) -> Census:
    kind = type(reader.dataset).__name__
    return Census(reader.name, kind, reader.source, reader.classes)


_reader: Optional[CensusReader] = None  # forked processes find it there


def _read(reader: CensusReader, number: int) -> Iterator[Census]:
    global _reader
    _reader = reader
    chunks = [
        range(start, min(start + _CHUNK, number))
        for start in range(0, number, _CHUNK)
    ]
    if number < _PARALLEL or os.cpu_count() == 1:
        yield from map(_read_chunk, chunks)
        return
    fork = get_context('fork')
    with ProcessPoolExecutor(min(os.cpu_count(), 8), fork) as pool:
        yield from track(
            pool.map(_read_chunk, chunks),
            f'Looking at the {number} images of {reader.name}',
            len(chunks),
            transient=True,
        )


def _read_chunk(chunk: range) -> Census:
    census = _new(_reader)
    for index in chunk:
        _reader.read(_reader.dataset.get_data_info(index), census)
    return census


# ------------------------------------------------------------- what is wrong


def _judge(census: Census, dataset: BaseDataset) -> None:
    """Note what names and numbers say."""
    _judge_names(census, dataset)
    _count_left_out(census, dataset)
    if not census.num_images:
        census.error('empty', str(empty(census.kind, vars(dataset))))
    elif census.task and census.classes:
        _judge_counts(census)
    if str(dataset.ann_file).endswith('.txt') and osp.isfile(dataset.ann_file):
        blank = blank_line(dataset.ann_file)
        if blank:
            census.error('blank line', blank)


def _judge_counts(census: Census) -> None:
    absent = [
        name
        for label, name in enumerate(census.classes)
        if not census.counts.get(label)
    ]
    present = len(census.classes) - len(absent)
    # a single class alone is one of two things, or nothing
    needed = 1 if census.task == 'det' else min(2, len(census.classes))
    text = f'{census.name} ({census.source}) has no {census.unit} of '
    text += few(absent)
    if census.ignored:
        text += f', and {census.ignored} {census.unit} that are ignored'
    if census.name == 'train_dataloader' and present < needed:
        census.error(
            'nothing to learn',
            f'{text}: there is nothing to learn. '
            + (
                'Masks hold 0, 1, 2 ... in the order of metainfo.classes, and '
                'ignore_index where there is none of them.'
                if census.task == 'seg'
                else 'Look at the labels, and at metainfo.classes.'
            ),
        )
    elif absent:
        census.warn('absent', f'{text}.')


def _judge_names(census: Census, dataset: BaseDataset) -> None:
    classes = list(map(str, census.classes))
    twice = [name for name, n in Counter(classes).items() if n > 1]
    own = type(dataset).METAINFO.get('classes', ())
    if twice and classes != list(own):  # ImageNet has two cranes
        census.error(
            'twice',
            f'{census.name}: metainfo.classes has {few(twice)} more than '
            'once: each class needs a name of its own.',
        )
    folders = getattr(dataset, 'folder_to_idx', None) or {}
    order = sorted(folders, key=folders.get)
    if classes != order and sorted(classes) == sorted(order):
        census.error(
            'order',
            f'{census.name}: labels follow the folders in alphabetical order, '
            f'and metainfo.classes has another one: {few(classes, 20)}. Write '
            f'{order}.',
        )


def _count_left_out(census: Census, dataset: BaseDataset) -> None:
    """Images, boxes and names that are passed over."""
    notes = vars(dataset)
    if notes.get('num_filtered'):
        settings = dict(dataset.filter_cfg or {})
        census.left_out[f'by filter_cfg={settings}'] = notes['num_filtered']
    for reason, number in (+notes.get('left_out', Counter())).items():
        census.left_out[f'boxes {reason}'] = number
    unknown = notes.get('unknown_names')
    if unknown:
        names = [f'{name!r} ({n})' for name, n in unknown.most_common()]
        census.left_out['boxes of other names'] = sum(unknown.values())
        census.warn(
            'unknown names',
            f'{census.source}: {sum(unknown.values())} objects have names '
            'that are not in metainfo.classes, and are left out: '
            f'{few(names)}. Classes: {few(census.classes, 20)}.',
        )
    folder = dict(dataset.data_prefix or {}).get('img_path')
    suffix = getattr(dataset, 'img_suffix', None)
    if dataset.ann_file or not suffix or not osp.isdir(folder or ''):
        return  # then there is a list, or mmpretrain's own warning
    others = Counter(
        osp.splitext(path)[1]
        for path, *_ in files_of(folder)
        if not path.endswith(suffix)
    )
    for other, number in others.items():
        if other.lower() in IMG_EXTENSIONS:
            census.left_out[f'ending with {other}'] = number
            census.warn(
                f'suffix {other}',
                f'{folder}: {number} images end with {other} and are left '
                f'out: img_suffix={suffix!r}.',
            )


def empty(name: str, settings: dict) -> DataError:
    """What to say of a data set without images."""
    keys = ('ann_file', 'data_root', 'data_prefix', 'filter_cfg')
    found = [f'{k}={settings[k]!r}' for k in keys if settings.get(k)]
    return DataError(
        f'{name} has no images: {", ".join(found)}. Look at these, and '
        'whether the annotations have any of metainfo.classes.'
    )


def compare_classes(censuses: Sequence[Census]) -> None:
    """Raise DataError where data sets have other classes than the first."""
    named = [census for census in censuses if census.classes]
    for census in named[1:]:
        first = named[0]
        if list(census.classes) != list(first.classes):
            raise DataError(
                f'{census.name} ({census.source}) has other classes than '
                f'{first.name} ({first.source}): {few(census.classes, 20)}, '
                f'not {few(first.classes, 20)}. Labels would mean other '
                'things: give all the same metainfo.classes, in one order.'
            )
