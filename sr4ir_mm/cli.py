"""What the scripts in ``tools/`` share: OpenMMLab's usual options."""

import argparse
import atexit
import os
import os.path as osp
from typing import Any, Dict, List, Sequence

import torch.distributed
import torch.nn as nn
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader

from sr4ir_mm.config_files import (
    ConfigOptions,
    merge_options,
    read_config_file,
)
from sr4ir_mm.mistakes import one_sentence


def add_common_args(parser: argparse.ArgumentParser) -> None:
    """Add the options of both training and testing."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='where logs and results go (default: work_dirs/CONFIG)',
    )
    add_cfg_options(
        parser,
        'override settings of the config, e.g. model.sr_net.init_cfg=None '
        'key="[a, b]"',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    add_debug(parser)
    # Set by torch.distributed.launch.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add the option that :func:`~sr4ir_mm.mistakes.one_sentence` has."""
    parser.add_argument(
        '--debug', action='store_true', help='show the traceback of an error'
    )


def add_cfg_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--cfg-options``, with an example or so in ``what``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        default={},
        metavar='KEY=VALUE',
        help=what,
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the common options to it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with one_sentence(debug=args.debug):
        cfg = read_config_file(args.config)
        cfg.launcher = args.launcher
        cfg.setdefault('runner_type', 'sr4ir_mm.Runner')
        merge_options(cfg, args.cfg_options)
        # command line, then config, then the config's name
        if args.work_dir is not None:
            cfg.work_dir = args.work_dir
        elif cfg.get('work_dir') is None:
            name = osp.splitext(osp.basename(args.config))[0]
            cfg.work_dir = osp.join('work_dirs', name)
        if osp.exists(cfg.work_dir) and not osp.isdir(cfg.work_dir):
            raise NotADirectoryError(
                f'work_dir={cfg.work_dir!r}: this is a file, and a folder is '
                'needed: name another (--work-dir).'
            )
        if get_device() == 'cpu':
            adapt_to_cpu(cfg)
    return cfg


def add_checkpoint_args(parser: argparse.ArgumentParser) -> None:
    """Add the options of scripts that look at trained models."""
    parser.add_argument(
        'checkpoints', nargs='+', help='with their configs inside, as trained'
    )
    parser.add_argument(
        '--names',
        nargs='+',
        help='one for each checkpoint (default: its folder)',
    )
    parser.add_argument('--device', help='default: the best there is')
    add_cfg_options(
        parser,
        'for the configs of all checkpoints, e.g. '
        'test_dataloader.dataset.data_root=PATH',
    )
    add_debug(parser)


def load_models(args: argparse.Namespace) -> Dict[str, nn.Module]:
    """The models of :func:`add_checkpoint_args`, by name.

    Raises:
        ValueError: If there is not one name for each.
    """
    from sr4ir_mm.apis import init_model

    names = args.names or _folders(args.checkpoints)
    if len(set(names)) != len(args.checkpoints):
        raise ValueError(
            f'--names {" ".join(names)}: give each of the '
            f'{len(args.checkpoints)} checkpoints a name of its own.'
        )
    return {
        name: init_model(path, None, args.device, args.cfg_options)
        for name, path in zip(names, args.checkpoints)
    }


def _folders(checkpoints: Sequence[str]) -> List[str]:
    """The checkpoints' folders; where they are alike, the files, too."""
    paths = [osp.abspath(path).split(os.sep) for path in checkpoints]
    folders = [path[-2] for path in paths]
    return [
        path[-2] if folders.count(path[-2]) == 1 else '/'.join(path[-2:])
        for path in paths
    ]


def load_network(model: nn.Module, name: str, checkpoint: str) -> None:
    """Take one network from a checkpoint, of this package or of another.

    Args:
        model (nn.Module): An :class:`SRTaskModel`, perhaps wrapped (for
            distributed testing, or test-time augmentation).
        name (str): ``sr_net`` or ``task_model``.
        checkpoint (str): Path or address.

    Raises:
        ValueError: If it is another network.
    """
    from sr4ir_mm.engine.checkpoint_fit import check_scale
    from sr4ir_mm.models.pretrained import load_fitting

    while hasattr(model, 'module'):
        model = model.module
    file = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    load_fitting(getattr(model, name), file, checkpoint, whole=True)
    if name == 'sr_net':
        check_scale(file, model, checkpoint)


def adapt_to_cpu(cfg: Config) -> None:
    """NCCL and synchronized BatchNorm exist on GPUs only."""
    cfg.setdefault('env_cfg', ConfigDict())
    cfg.env_cfg.setdefault('dist_cfg', ConfigDict()).backend = 'gloo'
    cfg.sync_bn = None
    _replace_sync_bn(cfg.model)
    if cfg.launcher == 'pytorch':
        # mmengine asks for a CUDA device, for gloo and the wrapper alike
        torch.distributed.init_process_group('gloo')
        # whose threads abort a process that ends before they do:
        # https://github.com/pytorch/pytorch/issues/190489
        atexit.register(torch.distributed.destroy_process_group)
        cfg.merge_from_dict(dict(model_wrapper_cfg=dict(device_ids=None)))


def _replace_sync_bn(node: Any) -> None:
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        for value in node.values():
            _replace_sync_bn(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _replace_sync_bn(value)
