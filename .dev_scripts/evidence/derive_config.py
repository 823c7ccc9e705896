"""From a row of a table to the config of a run."""

import copy
import os.path as osp
import re
from itertools import product
from typing import Dict, List, Optional

import mmengine
from mmengine.config import Config
from paper_tables import CONFIGS, DATASETS

from sr4ir_mm.apis.schedule import lay_out


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
    data set stands for one config. An SR network after the scale, such as
    `x4_span`, takes the place of that of x4.
    """
    if '{setup}' not in template:
        return osp.join(CONFIGS, f'{template.format(scale=scale)}.py')
    factor, _, sr_net = scale.partition('_')
    if sr_net and not osp.isfile(pattern.format(scale)):
        config = locate(template, pattern, factor, out)
        return config and with_sr_net(config, f'{sr_net}_{factor}', out)
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
        return with_schedules(path, out) if osp.isfile(path) else None
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


def with_sr_net(config: str, name: str, out: str) -> str:
    """The same config with another SR network of `configs/_base_/sr_nets`.

    If it starts from weights, so does this one. Its rate of learning is to the
    other's as those of their files.
    """
    cfg = Config.fromfile(config)
    path = osp.join(CONFIGS, '_base_', 'sr_nets', f'{name}.py')
    other = Config.fromfile(path)
    sr_net = dict(other.sr_net, _delete_=True)
    if cfg.model.sr_net.get('init_cfg'):
        sr_net.update(init_cfg=cfg.model.sr_net.init_cfg)
    rates = [c.sr_optim_wrapper.optimizer.lr for c in (other, cfg)]
    rate = cfg.optim_wrapper.sr_net.optimizer.lr * rates[0] / rates[1]
    optim_wrapper = dict(sr_net=dict(optimizer=dict(lr=rate)))
    made = dict(model=dict(sr_net=sr_net), optim_wrapper=optim_wrapper)
    stem = osp.splitext(osp.basename(config))[0]
    own = osp.join(out, f'{stem}_{name.rsplit("_", 1)[0]}.py')
    mmengine.mkdir_or_exist(out)
    with open(own, 'w') as file:
        file.write(f'_base_ = {config!r}\n{Config(made).pretty_text}')
    return own


def with_schedules(path: str, out: str) -> str:
    """The SR4IR config of a data set, with the schedules of the other methods
    beside its own. Those on `configs/_base_/schedules` have them; of others,
    such as what `wrap` makes of any recipe, one is made.

    Args:
        path (str): The config.
        out (str): Folder to write to, if it has none.
    """
    cfg = Config.fromfile(path)
    if 'sr_then_task' in cfg:
        return path
    phases, s2t, t2s = map(phases_of, ('sr4ir', 's2t', 't2s'))
    schedules = cfg.get('param_scheduler') or []
    if not isinstance(schedules, dict) or 'type' in schedules:
        both = dict(sr_net=schedules, task_model=schedules)
        cfg.param_scheduler = copy.deepcopy(both)
    one = lay_out(cfg, phases, before=cfg.model.phases)
    sr_first, task_first = (lay_out(copy.deepcopy(one), r) for r in (s2t, t2s))
    unit = 'max_epochs' if 'max_epochs' in one.train_cfg else 'max_iters'
    made = dict(
        phases=phases,
        model=dict(phases=phases),
        train_cfg={unit: one.train_cfg[unit]},
        param_scheduler=dict(_delete_=True, **one.param_scheduler),
        one_period=one.param_scheduler,
        two_stages={unit: sr_first.train_cfg[unit]},
        sr_then_task=sr_first.param_scheduler,
        task_then_sr=task_first.param_scheduler,
    )
    mmengine.mkdir_or_exist(out)
    own = osp.join(out, osp.basename(path))
    with open(own, 'w') as file:
        file.write(f'_base_ = {path!r}\n{Config(made).pretty_text}')
    return own


def phases_of(recipe: str) -> List[dict]:
    path = osp.join(CONFIGS, '_base_', 'recipes', f'{recipe}.py')
    found = Config.fromfile(path)
    return found.get('recipe', found).phases


def rename(text: str, names: Dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text
