"""From a row of a table to the config of a run."""

import os.path as osp
import re
from itertools import product
from typing import Dict, List, Optional

import mmengine
from mmengine.config import Config
from paper_tables import CONFIGS, DATASETS


def setup_of(pattern: str) -> str:
    """Task network and data, as in the names of configs."""
    # not of the folder, which may be called sr4ir_mm
    found = re.fullmatch(r'sr4ir_(.+)_\{\}\.py', osp.basename(pattern))
    if not found:
        raise SystemExit(
            f'--dataset {pattern}: expected one of {", ".join(DATASETS)}, or '
            'SR4IR configs, as in configs/toy/sr4ir_unet_toy_{}.py'
        )
    return found[1]


def locate(template: str, pattern: str, scale: str, out: str) -> Optional[str]:
    """The config that a row of a table stands for on a data set.

    Where there is none, it is made in ``out`` from that of another data set,
    of the same task network if possible, or from that of x8, the scale of the
    ablations.
    None if the SR4IR config that it inherits is missing. A row that names its
    data set stands for one config.
    """
    if '{setup}' not in template:
        return osp.join(CONFIGS, f'{template.format(scale=scale)}.py')
    network = setup_of(pattern).split('_')[0]
    others = sorted(
        DATASETS.values(), key=lambda other: network not in setup_of(other)
    )
    for source, other in product(
        [scale, 'x8', 'x8_swinir'], [pattern, *others]
    ):
        setup = setup_of(other)
        name = template.format(setup=setup, scale=source)
        config = osp.join(CONFIGS, f'{name}.py')
        if osp.isfile(config):
            if (source, other) == (scale, pattern):
                return config
            names = {setup: setup_of(pattern), source: scale}
            return rebase(config, names, pattern, out)
    return None


def rebase(
    config: str, names: Dict[str, str], pattern: str, out: str
) -> Optional[str]:
    """The same config of another data set: inherit its SR4IR configs, and
    leave the rest as it is.

    Args:
        config (str): Path of the config.
        names (dict[str, str]): What setup and scale become in names of files.
        pattern (str): SR4IR configs of the other data set.
        out (str): Folder to write to.
    """
    folder, name = osp.split(config)
    if folder == CONFIGS:
        suffix = re.search(r'_(x\d+(_\w+)?)\.py$', name)[1]
        path = osp.abspath(pattern.format(rename(suffix, names)))
        return path if osp.isfile(path) else None
    if folder.startswith(osp.join(CONFIGS, '_base_')):
        return config
    with open(config) as file:
        text = file.read()
    for base in re.findall(r"'(\.[^']+\.py)'", text):
        path = osp.normpath(osp.join(folder, base))
        path = rebase(path, names, pattern, out)
        if path is None:
            return None
        text = text.replace(f"'{base}'", repr(path))
    path = osp.join(out, rename(name, names))
    mmengine.mkdir_or_exist(out)
    with open(path, 'w') as file:
        file.write(text)
    return path


def rename(text: str, names: Dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def shrink(cfg: Config, budget: float) -> None:
    """Shorten training and learning rate schedules to a fraction.

    It is rounded to whole epochs (or iterations) of one stage, so that all
    recipes get the same of it.
    """
    loop = cfg.train_cfg
    unit = 'max_epochs' if 'max_epochs' in loop else 'max_iters'
    stage = cfg.get(unit, loop[unit])
    fraction = max(1, round(stage * budget)) / stage
    loop[unit] = round(loop[unit] * fraction)
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict) and 'type' not in schedulers:
        schedulers = list(schedulers.values())
    for scheduler in flatten(schedulers):
        # epochs that are converted to iterations need not be whole
        whole = not scheduler.get('convert_to_iter_based', False)
        for key in ('begin', 'end', 'T_max', 'periods', 'milestones'):
            if key in scheduler:
                minimum = 0 if key == 'begin' else 1
                value = scheduler[key]
                scheduler[key] = scale(value, fraction, whole, minimum)
        if scheduler.get('begin', 0) >= scheduler.get('end', float('inf')):
            scheduler.end = scheduler.begin + 1
    checkpoint = cfg.default_hooks.checkpoint
    if not checkpoint.get('by_epoch', True):
        checkpoint.interval = max(1, round(checkpoint.interval * fraction))


def flatten(node) -> List[dict]:
    if isinstance(node, dict):
        return [node]
    return [item for child in node for item in flatten(child)]


def scale(value, fraction: float, whole: bool, minimum: int):
    if isinstance(value, list):
        return [scale(item, fraction, whole, minimum) for item in value]
    return max(minimum, round(value * fraction)) if whole else value * fraction
