"""What the scripts in ``tools/`` share: OpenMMLab's usual options.

They parse before they import: what takes long to be imported is imported
inside of functions.
"""

import argparse
import os
import os.path as osp
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from sr4ir_mm.model_zoo import list_models, suggest_models

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

PAIRS = {'[': ']', '(': ')'}


def add_common_args(parser: argparse.ArgumentParser, **config: Any) -> None:
    """Add the options of both training and testing.

    Args:
        parser (ArgumentParser): Of a script.
        **config: Of the argument ``config``, where it is not the usual one.
    """
    config.setdefault('help', 'config file, or the name of one of ours')
    parser.add_argument('config', **config)
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
    """Add the option of :func:`~sr4ir_mm.utils.mistakes.one_sentence`."""
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


def load_config(args: argparse.Namespace) -> 'Config':
    """Read the config and apply the common options to it."""
    from sr4ir_mm.utils.config_files import prepare_config
    from sr4ir_mm.utils.mistakes import one_sentence

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with one_sentence(debug=args.debug):
        return prepare_config(
            args.config, args.work_dir, args.cfg_options, args.launcher
        )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add what a script predicts with: a checkpoint, or ``--model``."""
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file or address'
    )
    parser.add_argument(
        '--model',
        metavar='NAME',
        help='a model of the zoo in place of a checkpoint: '
        f'{", ".join(list_models()) or "there is none"}',
    )


def parse_with_checkpoint(
    parser: argparse.ArgumentParser,
) -> argparse.Namespace:
    """Parse the options of :func:`add_checkpoint`: ``checkpoint`` is what is
    given, by either way."""
    # which finds an optional argument behind options, too
    args = parser.parse_intermixed_args()
    model = vars(args).pop('model')
    if (args.checkpoint is None) == (model is None):
        parser.error('expected either a checkpoint or --model NAME')
    if model is not None and model not in list_models():
        parser.error(f'--model {model}: no such model.{suggest_models(model)}')
    args.checkpoint = args.checkpoint or model
    return args


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


def load_models(args: argparse.Namespace) -> Dict[str, 'nn.Module']:
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


def load_network(model: 'nn.Module', name: str, checkpoint: str) -> None:
    """Take one network from a checkpoint, of this package or of another.

    Args:
        model (nn.Module): An :class:`SRTaskModel`, perhaps wrapped (for
            distributed testing, or test-time augmentation).
        name (str): ``sr_net`` or ``task_model``.
        checkpoint (str): Path or address.

    Raises:
        ValueError: If it is another network.
    """
    from mmengine.runner import CheckpointLoader

    from sr4ir_mm.engine.checkpoint_fit import check_scale
    from sr4ir_mm.models.pretrained import load_fitting

    while hasattr(model, 'module'):
        model = model.module
    file = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    load_fitting(getattr(model, name), file, checkpoint, whole=True)
    if name == 'sr_net':
        check_scale(file, model, checkpoint)


class ConfigOptions(argparse.Action):
    """mmengine's ``KEY=VALUE``, which keeps the blanks inside of a value, and
    says what is wrong with one that it cannot read.

    ``a, b``, ``[a, b]`` and ``(a, b)`` are lists and a tuple; quotes make a
    text of what is in them.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for text in values:
            key, equals, value = text.partition('=')
            try:
                if not (key and equals):
                    raise ValueError('expected KEY=VALUE')
                options[key] = _parse(value)
            except ValueError as error:
                raise argparse.ArgumentError(
                    self, f'{text}: {error}'
                ) from None
        setattr(namespace, self.dest, options)


def _parse(text: str) -> Any:
    text = text.strip()
    if text[:1] in ('"', "'") and text.find(text[0], 1) == len(text) - 1:
        inner = text[1:-1].strip()  # `"[a, b]"`, as mmengine wants it quoted
        return _parse(inner) if inner[:1] in PAIRS else text[1:-1]
    parts, make = _split(text), list
    if len(parts) == 1:
        if PAIRS.get(text[:1]) != text[-1:]:
            return _plain(text)
        parts, make = _split(text[1:-1]), tuple if text[0] == '(' else list
    return make(_parse(part) for part in parts if part.strip())


def _plain(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    words = dict(true=True, false=False)
    return None if text == 'None' else words.get(text.lower(), text)


def _split(text: str) -> List[str]:
    """At commas outside of brackets and quotes."""
    parts, start, closing, quote = [], 0, [], ''
    for i, char in enumerate(text):
        if quote:
            quote = '' if char == quote else quote
        elif char in '"\'' and not text[start:i].strip(' [('):
            quote = char
        elif char in PAIRS:
            closing.append(PAIRS[char])
        elif char in PAIRS.values():
            if not closing or closing.pop() != char:
                raise ValueError(f'there is no bracket that {char!r} closes')
        elif char == ',' and not closing:
            parts.append(text[start:i])
            start = i + 1
    if quote or closing:
        raise ValueError(f'{quote or closing[-1]!r} is missing at the end')
    return [*parts, text[start:]]
