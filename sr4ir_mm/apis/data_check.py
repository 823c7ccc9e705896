"""What is in the data of a config, and what is wrong with it."""

import base64
import copy
import sys
from collections import Counter
from io import BytesIO
from typing import List, Optional, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from sr4ir_mm.datasets.census import Census, sentences
from sr4ir_mm.engine.preflight import (
    SPLITS,
    build_loader,
    check_batches,
    check_data,
    check_model,
    refuse,
)
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.registry import MODELS
from sr4ir_mm.utils.files import whole_file
from sr4ir_mm.utils.mistakes import few
from sr4ir_mm.visualization import draw_sample, to_uint8

from .toolboxes import build_pen

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em; }}
pre {{ font: 13px/1.35 ui-monospace, monospace; overflow-x: auto; }}
img {{ max-width: 100%; image-rendering: pixelated; }}
</style></head><body><h1>{title}</h1>{table}
<h2>What the networks will see</h2>
<p>Images of {split}, as its pipeline makes them: HR with its labels; LR, which
the SR network reads; LR enlarged bilinearly.</p>{pictures}</body></html>"""
GAP = 8  # pixels between pictures
SAMPLES = 32  # images that go through the pipeline


def check(
    cfg: Config, out: Optional[str] = None, num_pictures: int = 4
) -> bool:
    """Look at the data of a config, and print all that is found.

    Args:
        cfg (Config): Of :func:`~sr4ir_mm.utils.config_files.prepare_config`.
        out (str, optional): HTML file: the tables, and what the networks will
            see. Defaults to None.
        num_pictures (int): How many are in it. Defaults to 4.

    Returns:
        bool: Whether nothing must be wrong.
    """
    MMLogger.get_current_instance().setLevel('ERROR')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    console = Console(record=True, width=None if sys.stdout.isatty() else 110)
    loaders, censuses, problems = {}, [], []
    for name in SPLITS:
        if cfg.get(name):
            try:
                loaders[name] = build_loader(cfg[name], seed=0)
            except Exception as error:
                problems.append(str(error))
    # after the annotations, which want the most memory while they are read
    model = build_model(cfg)
    for name, loader in list(loaders.items()):
        try:
            found = check_data(loader, name, model, cfg)
        except Exception as error:
            problems.append(str(error))
            del loaders[name]
            continue
        censuses += found
        problems += wrong(lambda x: refuse([x]), found)
        problems += wrong(lambda x: check_model(model, [x]), found)
        if name == 'train_dataloader':
            problems += wrong(lambda x: check_batches(x, model), [loader])
    problems += wrong(refuse, [censuses])
    print_tables(console, censuses, loaders, model)
    warnings = [w for c in censuses for w in sentences(c.warnings)]
    print_each(console, '[bold yellow]may be wrong:[/]', warnings)
    print_each(console, '[bold red]WRONG:[/]', problems)
    if not problems:
        console.print('Nothing is wrong, as far as can be seen.')
    if out and loaders:
        write_page(out, num_pictures, console, model, cfg, loaders)
        print(f'See {out}')
    return not problems


def print_each(console: Console, head: str, texts: Sequence[str]) -> None:
    """Each sentence once, as it is, behind the same words."""
    for text in dict.fromkeys(texts):
        console.print(head, end=' ')
        console.print(text, markup=False, highlight=False)


def build_model(cfg: Config) -> SRTaskModel:
    """The model, without its weights and what trains it."""
    model = copy.deepcopy(cfg.model)
    model.pop('phases', None)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model)


def wrong(look, things: Sequence) -> List[str]:
    """What is said to be wrong with some things."""
    problems = []
    for thing in things:
        try:
            look(thing)
        except ValueError as error:
            problems.append(str(error))
    return problems


def print_tables(
    console: Console,
    censuses: Sequence[Census],
    loaders: dict,
    model: SRTaskModel,
) -> None:
    """What is in the data sets, and each class in them."""
    table = Table(box=box.SIMPLE_HEAD, title='Data sets')
    for census in [None, *censuses]:
        table.add_column(census.name if census else '', overflow='fold')
    seen = {name: seen_sizes(loader) for name, loader in loaders.items()}
    rows = dict(
        type=lambda c: c.kind,
        images=lambda c: f'{c.num_images:,}',
        source=lambda c: c.source,
        batches=lambda c: batches_of(loaders[c.name]),
        formats=lambda c: few(
            [f'{n:,} of {kind}' for kind, n in c.formats.most_common()], 3
        ),
        sizes=lambda c: summary(c.sizes),
        HR=lambda c: summary(seen[c.name]),
        LR=lambda c: summary(seen[c.name], model.scale),
        ignored=lambda c: f'{c.ignored:,} {c.unit}',
    )
    rows['left out'] = lambda c: (
        '\n'.join(f'{n:,} {why}' for why, n in c.left_out.items()) or '0'
    )
    if any(census.task == 'det' for census in censuses):
        rows['narrower than 1 LR pixel'] = lambda c: f'{c.small[0]:,} boxes'
        rows['narrower than 2'] = lambda c: f'{c.small[1]:,} boxes'
    for title, cell in rows.items():
        table.add_row(title, *map(cell, censuses))
    console.print(table)
    names = next((c.classes for c in censuses if c.classes), ())
    if not names:
        return
    table = Table(box=box.SIMPLE_HEAD, title='Classes')
    table.add_column('')
    for census in censuses:
        table.add_column(f'{census.name}, {census.unit}', justify='right')
    for label, name in enumerate(names):
        cells = [share(c.counts.get(label, 0), c) for c in censuses]
        table.add_row(f'{label} {name}', *cells)
    console.print(table)


def share(number: int, census: Census) -> str:
    total = sum(census.counts.values())
    return f'{number:,} {number / total:7.2%}' if total else '0'


def seen_sizes(loader: DataLoader) -> Counter:
    """Sizes of some images as the pipeline makes them."""
    number = len(loader.dataset)
    sizes = Counter()
    for index in range(0, number, -(-number // SAMPLES)):
        item = loader.dataset[index]
        if item is not None:
            height, width = item['inputs'].shape[-2:]
            sizes[f'{width}x{height}'] += 1
    return sizes


def summary(sizes: Counter, scale: int = 1) -> str:
    """The most frequent size, divided by the scale, and extreme sides."""
    sides = {
        tuple(-(-int(side) // scale) for side in size.split('x')): number
        for size, number in sizes.items()
    }
    if not sides:
        return '-'
    common = 'x'.join(map(str, max(sides, key=sides.get)))
    if len(sides) == 1:
        return common
    shortest, longest = min(map(min, sides)), max(map(max, sides))
    return f'{common}, sides {shortest} to {longest}'


def batches_of(loader: DataLoader) -> str:
    sampler = loader.batch_sampler
    if type(sampler.sampler).__name__ == 'InfiniteSampler':
        return f'without end, of {sampler.batch_size}'
    return f'{len(loader):,} of {sampler.batch_size} an epoch, on one rank'


def write_page(
    path: str,
    num_pictures: int,
    console: Console,
    model: SRTaskModel,
    cfg: Config,
    loaders: dict,
) -> None:
    """The tables, and pictures of the first data loader."""
    split, loader = next(iter(loaders.items()))
    number = min(num_pictures, len(loader.dataset))
    steps = max(1, len(loader.dataset) // max(number, 1))
    model.dataset_meta = loader.dataset.metainfo
    pictures = [
        picture(loader.dataset[i * steps], model, cfg) for i in range(number)
    ]
    table = console.export_html(
        inline_styles=True, code_format='<pre>{code}</pre>'
    )
    page = PAGE.format(
        title=cfg.filename,
        table=table,
        split=split,
        pictures=''.join(pictures),
    )
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as file:
        file.write(page)


def picture(item: dict, model: SRTaskModel, cfg: Config) -> str:
    """An image as HTML: HR with its labels, LR and LR enlarged."""
    data = model.data_preprocessor(pseudo_collate([item]), False)
    views = Views(model, **data)
    (sample,), (size,) = views.data_samples, views.sizes
    h, w = size
    hr = views['hr'][0, :, :h, :w]
    sample.set_data(dict(gt_img=hr, pred_img=hr))
    sample.set_metainfo(dict(ori_shape=size, bands=model.bands))
    drawn = draw_sample(build_pen(cfg, model), sample, gt=True)
    height, width = drawn.shape[:2]
    images = [drawn]
    for name, method in (('lr', 0), ('bilinear', 2)):
        image = Image.fromarray(to_uint8(views[name][0], model.bands))
        images.append(np.asarray(image.resize((width, height), method)))
    gap = np.full((height, GAP, 3), 255, np.uint8)
    row = np.concatenate([images[0], gap, images[1], gap, images[2]], axis=1)
    buffer = BytesIO()
    Image.fromarray(row).save(buffer, 'PNG')
    code = base64.b64encode(buffer.getvalue()).decode()
    name = sample.metainfo.get('img_path', '')
    return f'<p>{name}<br><img src="data:image/png;base64,{code}"></p>\n'
