"""A config for a folder of images: ``sr4ir init``."""

import glob
import io
import json
import os
import os.path as osp
import pprint
import re
import textwrap
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sr4ir_mm.datasets.census import Census, sentences, take_census
from sr4ir_mm.datasets.folders import Folder, look_at, read_any_header
from sr4ir_mm.datasets.masks import MaskValues, read_masks
from sr4ir_mm.datasets.splits import complete_splits
from sr4ir_mm.datasets.transforms import is_pair
from sr4ir_mm.engine.preflight import SPLITS, build_loader
from sr4ir_mm.evaluation.metrics import SRSSIM
from sr4ir_mm.utils.config_files import read_config_file
from sr4ir_mm.utils.files import find_folder, whole_file
from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.mistakes import few
from sr4ir_mm.utils.rasters import is_raster, open_raster

from .data_check import print_each
from .own_data import TASKS

RECIPE = 'one_batch'  # of configs/_base_/recipes: the best known
SR_NETS = dict(small='edsr_small_x{}', base='edsr_x{}')
WEIGHTS = 'checkpoints/lite0.pth'  # of the small task networks
_LR_SIDE = 24  # pixels of an LR image's shorter side, at least
_LR_OBJECT = 8  # LR pixels of half of the objects, at least
_EPOCHS = 10  # how often each image is seen
_ITERS = 400, 4000  # but so many iterations, at least and at most
_BATCH = dict(seg=4, det=4, cls=16)
_CROP = dict(seg=256, det=320, cls=224)
_SHORT_SIDE = 256  # as in the paper
_MOST_ROWS = 12  # of classes in the table
_WORDS = dict(seg='masks', det='boxes', cls='classes')


@dataclass
class Choice:
    """What a config says of a training, and why.

    Args:
        scale (int): Between LR and HR.
        crop (int, optional): Side of the crops.
        short_side (int, optional): To which images are resized.
        batch_size (int): In training.
        iters (int): Iterations.
        reasons (list[str]): A line each.
    """

    scale: int
    crop: Optional[int]
    short_side: Optional[int]
    batch_size: int
    iters: int
    reasons: List[str] = field(default_factory=list)


@dataclass
class Found:
    """A folder, and what was measured in it.

    Args:
        folder (Folder): What is in it.
        masks (MaskValues, optional): Of segmentation.
        origin (str): Where its splits are from.
        sizes (dict[str, tuple]): Width and height of each image.
        sides (np.ndarray): Shorter sides of objects, in pixels.
        bands (dict, optional): Of images that are not RGB of 8 bits, what
            ``model.bands`` is.
    """

    folder: Folder
    masks: Optional[MaskValues]
    origin: str
    sizes: Dict[str, Tuple[int, int]]
    sides: np.ndarray
    bands: Optional[dict] = None

    @property
    def classes(self) -> List[str]:
        return self.masks.classes if self.masks else self.folder.classes

    @property
    def short_side(self) -> int:
        """Nine images of ten are at least as high and wide."""
        sides = [min(size) for size in self.sizes.values()]
        return int(np.percentile(sides, 10))


def init(
    root: str,
    out: Optional[str] = None,
    task: Optional[str] = None,
    model: str = 'small',
    scale: Optional[int] = None,
) -> int:
    """Write a config for a folder, and say what was seen.

    Args:
        root (str): The folder.
        out (str, optional): The config. Defaults to one here, named by folder
            and scale.
        task (str, optional): ``seg``, ``det`` or ``cls``, where the folder
            has labels for several.
        model (str): ``small``, ``base`` or a toolbox's config. Defaults to
            ``small``.
        scale (int, optional): Between LR and HR. Defaults to what suits the
            data.

    Returns:
        int: 1 if something is wrong with the data, otherwise 0.
    """
    root = osp.normpath(root)
    found = find(root, task)
    choice = choose(found, scale, model)
    name = re.sub(r'\W+', '-', osp.basename(osp.abspath(root)).lower())
    out = out or f'{name}_x{choice.scale}.py'
    write(found, choice, out, model)
    return report(found, choice, out)


def find(root: str, task: Optional[str] = None) -> Found:
    """Look at a folder of images and labels."""
    folder = look_at(root, task)
    sizes, bands = _sizes(folder)
    _leave_out_small(folder, sizes)
    origin = complete_splits(folder)
    kept = {image for part in folder.splits.values() for image, _ in part}
    sizes = {image: sizes[image] for image in sorted(kept & set(sizes))}
    masks = read_masks(folder) if folder.task == 'seg' else None
    if masks:
        folder.notes += masks.notes
        sides = masks.sides
    elif folder.task == 'det':
        objects = [x for s in folder.splits.values() for _, o in s for x in o]
        sides = np.array([min(item['bbox'][2:]) for item in objects])
    else:
        sides = np.array([min(size) for size in sizes.values()])
    return Found(folder, masks, origin, sizes, sides, bands)


def _sizes(
    folder: Folder,
) -> Tuple[Dict[str, Tuple[int, int]], Optional[dict]]:
    """Width and height of the images, as far as they are known, and what their
    bands are, if they are no pictures."""
    sizes, deep = {}, False
    images = {image for part in folder.splits.values() for image, _ in part}
    images = sorted(images)
    for image in track(images, 'Looking at the images', transient=True):
        path = folder.path(image)
        header = read_any_header(path)
        if header:
            deep = deep or is_raster(path) or not header.is_picture
            sizes[image] = header.width, header.height
    if not sizes:
        raise DataError(f'{folder.root}: no image of it has a known size.')
    files = [folder.path(image) for image in images]
    if not deep:
        return sizes, None
    alpha = _alpha(files[0])
    if alpha:
        folder.notes.append(
            f'band {alpha} is tagged as alpha, and taken for an image: if it '
            'is a mask and no infrared, give LoadRasterFromFile the other '
            'bands, and model.bands one less'
        )
    return sizes, measure_bands(files)


def _alpha(file: str) -> Optional[int]:
    with open_raster(file) as raster:
        return getattr(raster, 'alpha', None)


def measure_bands(files: Sequence[str]) -> dict:
    """What ``model.bands`` is for some images, of their values.

    Args:
        files (Sequence[str]): All of them: a value that only one has counts.

    Raises:
        DataError: If they have different numbers of bands, or one of them
            cannot be read.
    """
    first, low, high = None, np.inf, -np.inf
    for file in track(files, 'Looking at their values', transient=True):
        with open_raster(file) as raster:
            first = first or raster
            if raster.count != first.count:
                raise DataError(
                    f'{first.path} has {first.count} bands, and {file} '
                    f'{raster.count}: a model takes one number of them.'
                )
            values, missing = raster.read()
        if missing is not None:
            values = values[~missing]
        if values.size:
            low = min(low, values.min())
            high = max(high, values.max())
    bands = dict(number=first.count, range=_range(low, high, first.dtype))
    return bands


def _range(low: float, high: float, dtype: np.dtype):
    """A round one that holds all values."""
    if dtype.kind == 'u':
        bits = next(b for b in (8, 10, 12, 14, 16, 32, 64) if high < 2**b)
        return 2**bits - 1
    if 0 <= low and high <= 1:
        return 1.0
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-6)) - 1)
    ends = np.floor(low / step) * step, np.ceil(high / step) * step
    return tuple(int(e) if dtype.kind == 'i' else float(e) for e in ends)


def _leave_out_small(
    folder: Folder, sizes: Dict[str, Tuple[int, int]]
) -> None:
    """Those that the image metrics of the config cannot score."""
    least = 2 * SRSSIM().crop_border + SRSSIM.min_size
    small = {image: s for image, s in sizes.items() if min(s) < least}
    if not small:
        return
    image, (width, height) = next(iter(small.items()))
    text = (
        f'smaller than {least}x{least} pixels, the least that SRSSIM can '
        f'score: {folder.path(image)} has {width}x{height}'
    )
    if len(small) == len(sizes):
        raise DataError(f'{folder.root}: all images are {text}: take larger.')
    folder.notes.append(f'left out: {len(small)} images {text}')
    for split, samples in list(folder.splits.items()):
        folder.splits[split] = [s for s in samples if s[0] not in small]
        if not folder.splits[split]:
            del folder.splits[split]


# ----------------------------------------------------------------- decisions


def choose(
    found: Found, scale: Optional[int] = None, model: str = 'small'
) -> Choice:
    """Choose scale, crop, batch size and length from the data.

    Args:
        found (Found): The data.
        scale (int, optional): Where it is given. Defaults to None.
        model (str): ``small``, ``base`` or a toolbox's config.
    """
    folder, reasons = found.folder, []
    task = folder.task
    scale = _choose_scale(found, scale, available_scales(model), reasons)
    short = found.short_side
    short_side = None
    if task == 'cls' and len(set(found.sizes.values())) > 1 and not folder.lr:
        short = short_side = min(short, _SHORT_SIDE)
        reasons.append(
            f'Images are resized to {short_side} pixels of the shorter side: '
            'those of a batch have one size.'
        )
    step = np.lcm(scale, 32 if short >= 64 else 4)
    limit = _CROP[task]
    if task == 'det':  # a crop holds most objects as a whole
        limit = max(limit, 2 * int(np.percentile(found.sides, 90)))
    crop = max(int(min(limit, short) // step * step), int(step))
    if task == 'det' and (model != 'small' or crop > 0.9 * short):
        crop = None  # whole images: their detector enlarges them alike
    if found.bands:
        reasons.append(
            'Images are no RGB of 8 bits: `bands` says what is 0 and 1 in '
            'them, and may say which are red, green and blue to look at '
            '(rgb=(2, 1, 0), say).'
        )
    number = len(folder.splits['train'])
    batch_size = max(2, min(_BATCH[task], number // 2))
    low, high = _ITERS
    iters = int(np.clip(round(_EPOCHS * number / batch_size, -2), low, high))
    reasons.append(
        f'{iters} iterations of {batch_size} images: each of {number} is seen '
        f'about {iters * batch_size / number:.0f} times.'
        + (
            ' The SR network, which starts from nothing, learns alone for as '
            'long before.'
        )
        * (model != 'base')
    )
    reasons.append(
        f'Recipe {RECIPE}: the best known where nothing is known of the data '
        '(docs/en/results.md).'
    )
    if _lacks_weights(model):
        reasons.append(
            f'There are no ImageNet weights in {WEIGHTS}, so the task network '
            'starts from nothing, and learns far less: docs/en/own_data.md '
            'says how to get them. Then run this again.'
        )
    return Choice(scale, crop, short_side, batch_size, iters, reasons)


def _choose_scale(
    found: Found,
    scale: Optional[int],
    scales: Sequence[int],
    reasons: List[str],
) -> int:
    common = Counter(found.sizes.values()).most_common(1)[0][0]
    half = float(np.median(found.sides)) if len(found.sides) else 0
    if found.folder.lr:
        paired = _paired_scale(found)
        if scale not in (None, paired):
            raise DataError(
                f'--scale {scale}: the LR images are 1/{paired} of their HR '
                f'images in {found.folder.root}.'
            )
        scale = paired
        reason = 'as in the pairs of LR and HR'
    elif scale:
        reason = 'as asked for'
    else:
        enough = [
            s
            for s in scales
            if found.short_side / s >= _LR_SIDE and half / s >= _LR_OBJECT
        ]
        scale = max(enough, default=min(scales))
        reason = 'the largest at which something is left'
        if not enough:
            reason = 'the smallest, as images or objects are small'
    if scale not in scales:
        raise DataError(
            f'scale {scale}: there are SR networks for '
            f'{", ".join(map(str, scales))} in configs/_base_/sr_nets.'
        )
    width, height = (-(-side // scale) for side in common)
    things = dict(det='objects', seg='classes parts of')
    what = things.get(found.folder.task)
    reasons.append(
        f'x{scale}, {reason}: LR has {width}x{height} pixels'
        + (
            f', half of the {what} {half / scale:.0f} or more.'
            if what
            else '.'
        )
    )
    return scale


def _paired_scale(found: Found) -> int:
    """Between the HR and LR images of pairs, the same for all."""
    folder, scales = found.folder, Counter()
    for image, (width, height) in found.sizes.items():
        path = '/' + image
        for old, new in folder.lr.items():
            path = path.replace(old, new)
        path = folder.path(path[1:])
        if not osp.isfile(path):
            raise DataError(f'{folder.path(image)} has no LR image {path}.')
        low = read_any_header(path)
        scale = round(width / low.width)
        if not is_pair((height, width), (low.height, low.width), scale):
            raise DataError(
                f'{path} has {low.width}x{low.height} pixels, which is no '
                f'whole part of {width}x{height}, those of its HR image.'
            )
        scales[scale] += 1
    if len(scales) > 1:
        raise DataError(
            f'{folder.root}: LR images are HR images divided by '
            f'{" and by ".join(map(str, scales))}, and a model has one scale: '
            'train on a part.'
        )
    return next(iter(scales))


def available_scales(model: str) -> List[int]:
    """For which there is an SR network of this size."""
    pattern = osp.join(
        configs_folder(), '_base_', 'sr_nets', f'{sr_net(model, "*")}.py'
    )
    names = map(osp.basename, glob.glob(pattern))
    return sorted(int(re.findall(r'_x(\d+)', name)[0]) for name in names)


def sr_net(model: str, scale: Any) -> str:
    return SR_NETS.get(model, SR_NETS['small']).format(scale)


def configs_folder() -> str:
    """The configs of this package; of a checkout, the checkout's."""
    return str(find_folder('configs').resolve())


# -------------------------------------------------------------------- writing


def write(
    found: Found, choice: Choice, out: str, model: str = 'small'
) -> None:
    """Write a config, and lists of images beside it.

    Args:
        found (Found): The data.
        choice (Choice): What to do with them.
        out (str): The config.
        model (str): ``small``, ``base``, or a toolbox's config.
    """
    lists = osp.splitext(out)[0]
    os.makedirs(lists, exist_ok=True)
    folder = found.folder
    writer = dict(seg=_list_masks, det=_list_boxes, cls=_list_classes)
    splits = {
        name: writer[folder.task](found, name, lists)
        for name in ('train', 'val', 'test')
        if name in folder.splits
    }
    splits.setdefault('test', splits['val'])
    lines = [*_head(found, choice, lists), *_body(found, choice, out, model)]
    shared = {
        key: value
        for key, value in splits['train'].items()
        if all(split.get(key) == value for split in splits.values())
    }
    lines += ['data = dict(', *_arguments(shared), ')', 'use_data(']
    lines += ['    _base_,', *_arguments(dict(classes=tuple(found.classes)))]
    for name, split in splits.items():
        own = ''.join(
            f'{k}={v!r}, ' for k, v in split.items() if k not in shared
        )
        lines.append(f'    {name}=dict({own}**data),')
    if 'test' not in folder.splits:
        lines[-1] += '  # there is no other part'
    lines += [*_arguments(_options(found, choice)), ')']
    if _lacks_weights(model):
        lines.append(
            'model = dict(task_model=dict(backbone=dict(init_cfg=None)))'
        )
    with whole_file(out) as part, open(part, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')


def _head(found: Found, choice: Choice, lists: str) -> List[str]:
    folder = found.folder
    numbers = [
        f'{len(folder.splits[name])} for {name}'
        for name in ('train', 'val', 'test')
        if name in folder.splits
    ]
    texts = [
        f'Of {folder.root} by `sr4ir init`: {_WORDS[folder.task]} '
        f'({folder.format}), {len(found.classes)} classes.',
        f'Images: {", ".join(numbers)} ({found.origin}), listed in {lists}/.',
        *choice.reasons,
    ]
    return [f'# {line}' for text in texts for line in textwrap.wrap(text, 77)]


def _body(found: Found, choice: Choice, out: str, model: str) -> List[str]:
    task = found.folder.task
    base, length, extra = model, f'iters={choice.iters}', ''
    if model in SR_NETS:
        base = osp.join(
            configs_folder(), '_base_', 'own', f'{task}_{model}.py'
        )
        if osp.dirname(configs_folder()) in osp.abspath(out):
            base = osp.relpath(base, osp.dirname(osp.abspath(out)))
    else:
        cfg = read_toolbox_config(model, task)
        if 'max_epochs' in cfg.train_cfg:
            number = len(found.folder.splits['train'])
            epochs = round(choice.iters * choice.batch_size / number)
            length = f'epochs={max(1, epochs)}'
    if (task, model) == ('det', 'base'):
        extra = ', resize=(1333, 800)'
    if found.bands:
        extra += f', bands=dict({_keywords(found.bands)})'
    net = sr_net(model, choice.scale)
    return [
        f'_base_ = {base!r}',
        'from sr4ir_mm.apis import use_data, wrap  # below `_base_`, or '
        'mmengine takes this for a lazy config',
        '',
        f'wrap(_base_, sr_net={net!r}, recipe={RECIPE!r}, {length}{extra})',
    ]


def _keywords(values: dict) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in values.items())


def read_toolbox_config(model: str, task: str) -> Config:
    """The config of a task network, of the toolbox of this task."""
    try:
        cfg = Config.fromstring(f'_base_ = {model!r}', '.py')
    except Exception as error:
        raise DataError(
            f'--model {model}: it is neither small nor base, nor can it be '
            'read as a config of a toolbox, such as '
            f'mmseg::segformer/....py ({error}).'
        ) from error
    kind = TASKS.get(cfg.get('default_scope'))
    if kind != task:
        raise DataError(
            f'--model {model}: it is for {_WORDS.get(kind, kind)}, and the '
            f'folder has {_WORDS[task]}.'
        )
    return cfg


def _options(found: Found, choice: Choice) -> dict:
    """Arguments of ``use_data``."""
    options = dict(
        batch_size=choice.batch_size,
        crop=choice.crop,
        short_side=choice.short_side,
        lr=found.folder.lr,
    )
    masks = found.masks
    if masks and not masks.plain:
        options['values'] = masks.values
    if masks and masks.palette:
        options['palette'] = masks.palette
    return {key: value for key, value in options.items() if value}


def _arguments(arguments: dict) -> List[str]:
    """Lines of a call; a long value has several."""
    lines = []
    for key, value in arguments.items():
        text = pprint.pformat(value, width=70, compact=True, sort_dicts=False)
        first, *more = f'{key}={text},'.splitlines()
        lines += [f'    {first}', *(f'    {" " * len(key)} {x}' for x in more)]
    return lines


def _lacks_weights(model: str) -> bool:
    return model == 'small' and not osp.isfile(WEIGHTS)


def _list_classes(found: Found, split: str, lists: str) -> dict:
    path = osp.join(lists, f'{split}.txt')
    samples = found.folder.splits[split]
    _write_lines(path, [f'{image} {label}' for image, label in samples])
    return dict(
        type='CustomDataset', data_prefix=found.folder.root, ann_file=path
    )


def _list_boxes(found: Found, split: str, lists: str) -> dict:
    path, images, annotations = osp.join(lists, f'{split}.json'), [], []
    for number, (image, objects) in enumerate(found.folder.splits[split]):
        width, height = found.sizes[image]
        images.append(
            dict(id=number, file_name=image, width=width, height=height)
        )
        for item in objects:
            box = [round(float(x), 2) for x in item['bbox']]
            annotation = dict(iscrowd=0, area=round(box[2] * box[3], 2))
            annotation.update(
                {k: v for k, v in item.items() if k != 'label'},
                id=len(annotations) + 1,
                image_id=number,
                category_id=item['label'] + 1,
                bbox=box,
            )
            annotations.append(annotation)
    categories = [
        dict(id=number, name=name)
        for number, name in enumerate(found.classes, 1)
    ]
    content = dict(
        images=images, annotations=annotations, categories=categories
    )
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as file:
        json.dump(content, file)
    return dict(
        type='CocoDataset',
        data_prefix=dict(img=found.folder.root),
        ann_file=path,
    )


def _list_masks(found: Found, split: str, lists: str) -> dict:
    path, root = osp.join(lists, f'{split}.txt'), found.folder.root
    samples = found.folder.splits[split]
    _write_lines(path, [f'{image}\t{mask}' for image, mask in samples])
    return dict(
        type='sr4ir_mm.ListedMasks',
        data_prefix=dict(img_path=root, seg_map_path=root),
        ann_file=path,
    )


def _write_lines(path: str, lines: Sequence[str]) -> None:
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')


# -------------------------------------------------------------------- telling


def report(found: Found, choice: Choice, out: str) -> int:
    """Say what was seen, by the census of the data sets of the config; 1 if
    something must be wrong."""
    censuses, problems = _look_again(out)
    folder, console = found.folder, Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title=f'{folder.root}')
    table.add_column('')
    for census in censuses:
        table.add_column(census.name.split('_')[0], justify='right')
    for title, cell in dict(
        images=lambda c: f'{c.num_images:,}',
        sizes=lambda c: few([s for s, _ in c.sizes.most_common()], 2),
        bands=lambda c: few([s for s, _ in c.formats.most_common()], 2),
        ignored=lambda c: f'{c.ignored:,} {c.unit}',
    ).items():
        table.add_row(title, *map(cell, censuses))
    for label, name in enumerate(found.classes[:_MOST_ROWS]):
        shares = [
            f'{c.counts.get(label, 0) / max(sum(c.counts.values()), 1):.1%}'
            for c in censuses
        ]
        table.add_row(f'{label} {name}', *shares)
    if len(found.classes) > _MOST_ROWS:
        rest = len(found.classes) - _MOST_ROWS
        table.add_row(f'and {rest} more classes')
    console.print(table)
    missing = '' if 'test' in folder.splits else '; test is val once more'
    console.print(
        f'{_WORDS[folder.task]} ({folder.format}); {found.origin}{missing}',
        markup=False,
    )
    for reason in choice.reasons:
        console.print(f'- {reason}', markup=False)
    warnings = [w for c in censuses for w in sentences(c.warnings)]
    warnings += [
        f'left out of {c.name.split("_")[0]}: {number:,} {why}'
        for c in censuses
        for why, number in c.left_out.items()
        if why.startswith('boxes')
    ]
    odd = [*folder.notes[:10], *warnings]
    print_each(console, '[bold yellow]odd:[/]', odd)
    print_each(console, '[bold red]WRONG:[/]', problems)
    print(
        f'\nWrote {out} and {osp.splitext(out)[0]}/. Next:\n'
        f'  sr4ir check {out} --out check.html\n'
        f'  sr4ir train {out}'
    )
    return 1 if problems else 0


def _look_again(out: str) -> Tuple[List[Census], List[str]]:
    """At the data sets of a config."""
    MMLogger.get_current_instance().setLevel('ERROR')
    cfg = read_config_file(out)
    init_default_scope(cfg.default_scope)
    censuses, problems = [], []
    for name in SPLITS:
        try:
            with redirect_stdout(io.StringIO()):  # of pycocotools
                dataset = build_loader(cfg[name], seed=0).dataset
            censuses += take_census(dataset, name, cfg.model.scale)
        except ValueError as error:
            problems.append(str(error))
    for census in censuses:
        problems += sentences(census.errors)
    return censuses, problems
