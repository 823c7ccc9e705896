"""From a config's file and ``--cfg-options`` to the config, with errors that
name the file and line, or the option."""

import atexit
import copy
import gc
import logging
import os.path as osp
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, List, Optional, Union
from unittest.mock import patch

import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log

from sr4ir_mm.utils.config_keys import find_unread
from sr4ir_mm.utils.files import find_folder
from sr4ir_mm.utils.mistakes import explain


def read_config_file(path: str) -> Config:
    """Read a config file.

    Args:
        path (str): The file, or the name of one that comes with the package.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it, or one that it inherits from, cannot be read: with
            the file and, where it is known, the line.
    """
    if not osp.isfile(path):
        path = find_config(path)
    reading: List[str] = []  # from `path` to what it inherits from
    read = Config._file2dict

    def read_one(filename: str, *args, **kwargs) -> tuple:
        file = osp.abspath(filename)
        if file in reading:
            raise ValueError(
                'its `_base_` goes in a circle: '
                f'{" -> ".join([*reading[reading.index(file) :], file])}'
            )
        if not osp.isfile(file):
            raise ValueError(f'there is no {file}, which is its `_base_`')
        reading.append(file)
        found = read(filename, *args, **kwargs)
        reading.pop()  # not after an error: so the last one is at fault
        return found

    with patch.object(Config, '_file2dict', staticmethod(read_one)):
        try:
            return Config.fromfile(path)
        except Exception as error:
            file = reading[-1] if reading else path
            raise ValueError(
                f'{file}{_line(error, file)}: {_reason(error)}'
            ) from error


def find_config(name: str) -> str:
    """The file of a config that comes with the package.

    Args:
        name (str): Its name, with the folder in ``configs`` or without, with
            ``.py`` or without.

    Raises:
        FileNotFoundError: If there is none.
    """
    root = find_folder('configs')
    known = sorted(root.rglob('*.py')) if root else []
    wanted = Path(name if name.endswith('.py') else f'{name}.py').parts
    for path in known:
        if path.parts[-len(wanted) :] == wanted:
            return str(path)
    names = [path.stem for path in known]
    near = get_close_matches(wanted[-1][:-3], names, 3)
    raise FileNotFoundError(
        f'There is no config {name!r}'
        + (f': did you mean {" or ".join(near)}?' if near else '.')
    )


def _line(error: Exception, file: str) -> str:
    line = getattr(error, 'lineno', None)
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b'\n') + 1
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = number
    return f', line {line}' if line else ''


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return 'it is no text in UTF-8; save it as such'
    if isinstance(error, SyntaxError):
        return f'{error.msg}, in {(error.text or "").strip()!r}'
    return explain(error, Config())


def merge_options(cfg: Config, options: Dict[str, Any]) -> None:
    """Merge ``--cfg-options`` into a config, and warn of those that nothing
    reads.

    Raises:
        ValueError: If an option cannot be merged.
    """
    unread = find_unread(cfg, options)
    before = cfg.to_dict()
    try:
        cfg.merge_from_dict(options)
    except Exception as error:
        key = next(k for k in options if not _fits(before, {k: options[k]}))
        reason = unread.get(key) or explain(error, Config())
        raise ValueError(f'--cfg-options {key}: {reason}') from error
    for key, reason in unread.items():
        print_log(f'--cfg-options {key}: {reason}', level=logging.WARNING)


def _fits(cfg: dict, option: Dict[str, Any]) -> bool:
    try:
        Config(cfg).merge_from_dict(option)
    except Exception:
        return False
    return True


def prepare_config(
    config: Union[str, Config],
    work_dir: Optional[str] = None,
    cfg_options: Optional[Dict[str, Any]] = None,
    launcher: str = 'none',
) -> Config:
    """Read a config for a runner, with the options that scripts have.

    Args:
        config (str | Config): See :func:`read_config_file`; one that was read
            is copied.
        work_dir (str, optional): Where logs and results go. Defaults to what
            the config says, or ``work_dirs/`` and its name.
        cfg_options (dict, optional): Override settings of the config.
        launcher (str): What started the processes. Defaults to 'none'.
    """
    cfg = copy.deepcopy(config)
    if not isinstance(config, Config):
        cfg = read_config_file(str(config))
    cfg.launcher = launcher
    cfg.setdefault('runner_type', 'sr4ir_mm.Runner')
    merge_options(cfg, cfg_options or {})
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        name = osp.basename(cfg.filename or 'config')
        cfg.work_dir = osp.join('work_dirs', osp.splitext(name)[0])
    if osp.exists(cfg.work_dir) and not osp.isdir(cfg.work_dir):
        raise NotADirectoryError(
            f'work_dir={cfg.work_dir!r}: this is a file, and a folder is '
            'needed: name another (--work-dir).'
        )
    if get_device() == 'cpu':
        adapt_to_cpu(cfg)
    return cfg


def adapt_to_cpu(cfg: Config) -> None:
    """NCCL and synchronized BatchNorm exist on GPUs only."""
    cfg.setdefault('env_cfg', ConfigDict())
    cfg.env_cfg.setdefault('dist_cfg', ConfigDict()).backend = 'gloo'
    cfg.sync_bn = None
    _replace_sync_bn(cfg.model)
    if cfg.launcher == 'pytorch':
        # mmengine asks for a CUDA device, for gloo and the wrapper alike
        torch.distributed.init_process_group('gloo')
        atexit.register(leave_process_group)
        cfg.merge_from_dict(dict(model_wrapper_cfg=dict(device_ids=None)))


def leave_process_group() -> None:
    """End gloo's threads, which abort a process that ends before they do:
    https://github.com/pytorch/pytorch/issues/190489

    They run as long as anything holds the group. A model in
    `DistributedDataParallel` does, and is held in turn by a runner, which is
    in cycles.
    """
    gc.collect()
    torch.distributed.destroy_process_group()


def _replace_sync_bn(node: Any) -> None:
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        for value in node.values():
            _replace_sync_bn(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _replace_sync_bn(value)
