"""What a user did wrong, in one sentence."""

import inspect
import io
import json
import logging
import os
import os.path as osp
import re
import shutil
import sys
import time
import traceback
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import mmengine.registry
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .quiet import keep_short

# Top-level keys that are read, but are no arguments of the runner.
_READ = (
    'auto_scale_lr custom_imports env_cfg default_scope runner_type '
    'load_strict tta_model tta_pipeline compile activation_checkpointing '
    'efficient_conv_bn_eval find_unused_parameters sync_bn '
    'model_wrapper_cfg data_preprocessor noise weights'
).split()
_LONG = 1000  # characters; what is longer is in the log
# Errors whose text alone says little.
_TERSE = (
    *(KeyError, IndexError, TypeError, AttributeError, NameError),
    *(ArithmeticError, AssertionError),
)

# Keys of any part that has a type.
_OF_ALL = ('_delete_', '_scope_', 'init_cfg', 'with_cp')


def few(names: Iterable[Any], number: int = 8) -> str:
    """Some names, and how many more there are."""
    names = list(map(str, names))
    more = f' and {len(names) - number} more' * (len(names) > number)
    return ', '.join(names[:number]) + more


@contextmanager
def one_sentence(
    cfg: Optional[Config] = None, debug: bool = False, status: int = 1
) -> Iterator[None]:
    """Inside, an error ends the script with one sentence on the screen; its
    traceback is in the log file, if there is one. The screen is kept short.

    Args:
        cfg (Config, optional): What the script runs.
        debug (bool): Whether to show the traceback instead.
        status (int): What the script exits with. Defaults to 1.
    """
    keep_short(MMLogger.get_current_instance())
    try:
        yield
    except Exception as error:
        if debug:
            raise
        logger = MMLogger.get_current_instance()
        files = [
            handler
            for handler in logger.handlers
            if isinstance(handler, logging.FileHandler)
        ]
        for handler in files:
            handler.handle(
                logger.makeRecord(
                    logger.name,
                    logging.ERROR,
                    '',
                    0,
                    traceback.format_exc(),
                    (),
                    None,
                )
            )
        where = files[0].baseFilename if files else '--debug'
        text = f'error: {explain(error, cfg)}\n(traceback: {where})'
        _tell_launcher(text)
        print(text, file=sys.stderr, flush=True)
        sys.exit(status)


def _tell_launcher(text: str) -> None:
    """torchrun ends its own report with what it finds in this file; without
    it, the text stands some forty lines above."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        facts = dict(py_callstack=text, timestamp=str(int(time.time())))
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(dict(message=dict(message=text, extraInfo=facts)), file)


def explain(error: Exception, cfg: Optional[Config] = None) -> str:
    """What went wrong, with the config's key where it can be found.

    Args:
        error (Exception): Of any part of the training.
        cfg (Config, optional): What was run.
    """
    cfg = Config() if cfg is None else cfg
    text = str(error)
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    if isinstance(error, OSError) and error.strerror and not error.filename:
        text = f'{_open_file(error)}{error.strerror}'
    if 'DataLoader worker' in text:  # whose whole traceback it quotes
        text = re.split(r'\n[\w.]+: ', text.strip())[-1]
    if 'exited unexpectedly' in text and osp.isdir('/dev/shm'):
        free = shutil.disk_usage('/dev/shm').free // 2**20
        text += (
            f' What it failed on is above. Workers hand over batches by '
            f'/dev/shm, which has {free} MiB free: Docker gives more by '
            '--shm-size, and train_dataloader.num_workers=0 needs none.'
        )
    unknown = re.search(r"'?([\w.]+) is not in the \S*?(\w+) registry", text)
    if unknown:
        return _explain_type(*unknown.groups(), cfg)
    wrong = re.search(r"unexpected keyword argument '(\w+)'", text)
    found = wrong and _explain_argument(wrong.group(1), text, cfg)
    if found:
        return found
    # mmengine names all that it was about to build, from the outside
    text = re.sub(r'class `(\w+)` in \S+?\.py: ', '', text).strip()
    text = ' '.join(text.split())
    if isinstance(error, _TERSE) or not text:
        text = f'{type(error).__name__}: {text}'
    return text if len(text) < _LONG else f'{text[:_LONG]} ...'


def _open_file(error: Exception) -> str:
    """The file that was being written: a full disk's error has no name."""
    name = ''
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, io.IOBase) and hasattr(value, 'name'):
                name = f'{value.name}: '
    return name


def _explain_type(name: str, kind: str, cfg: Config) -> str:
    keys = [
        f'{path}.type'
        for path, node in _nodes(cfg._cfg_dict.to_dict())
        if isinstance(node, dict) and node.get('type') == name
    ]
    known = _registered(kind)
    bare = name.rpartition('.')[2]
    near = known.get(bare) or [
        full
        for match in get_close_matches(bare, known, 3, 0.7)
        for full in known[match]
    ]
    return (
        f'{keys[0] if keys else "type"}={name!r}: there is no such {kind}'
        + (
            f'; did you mean {" or ".join(map(repr, near[:3]))}?'
            if near
            else '.'
        )
        + ' What is of another toolbox than default_scope='
        f'{cfg.get("default_scope")!r} needs its prefix, and what is your own '
        'must be in custom_imports.'
    )


def _explain_argument(name: str, text: str, cfg: Config) -> Optional[str]:
    built = re.findall(r'class `(\w+)` in', text)
    for path, node in _nodes(cfg._cfg_dict.to_dict()):
        if not isinstance(node, dict) or name not in node:
            continue
        loader = path.endswith('dataloader')
        kind = 'DataLoader' if loader else str(node.get('type'))
        if kind == 'None' or built and kind.rpartition('.')[2] != built[-1]:
            continue
        arguments, _ = _signature(DataLoader) if loader else _arguments(kind)
        near = get_close_matches(name, arguments, 1)
        return (
            f'{path}.{name}: {kind} has no such argument'
            + (f'; did you mean {near[0]}?' if near else '.')
            + (f' It has {", ".join(arguments)}.' if arguments else '')
        )
    return None


def find_unread(cfg: Config, options: Dict[str, Any]) -> Dict[str, str]:
    """Options that nothing reads, with the reason and the nearest key that
    there is.

    Args:
        cfg (Config): Before the options are merged into it.
        options (dict): ``--cfg-options``.
    """
    found = {key: _unread(cfg, key) for key in options}
    return {key: reason for key, reason in found.items() if reason}


def _unread(cfg: Config, key: str) -> Optional[str]:
    node, done = cfg._cfg_dict, []
    *parents, last = key.split('.')
    for part in parents:
        child = _child(node, part)
        if child is None:
            break
        node, done = child, [*done, part]
    else:
        part = last
    siblings, complete = _known_keys(node, top=not done)
    root = done[0] if done else part
    if root in cfg and root not in _runner_keys():
        return (
            f'{root} is a variable of the config file, which nothing reads '
            f'any more{_where_it_went(cfg, root, key)}.'
        )
    if part in siblings or (not done and part in _runner_keys()):
        return None
    near = get_close_matches(part, siblings, 1, 0.6)
    if not complete and not near:
        return None  # who knows
    where = '.'.join(done) or 'the config'
    return f'{where} has no {part!r}, and nothing is known to read it' + (
        f': did you mean {".".join([*done, near[0]])}?' if near else '.'
    )


def _where_it_went(cfg: Config, variable: str, key: str) -> str:
    """What the variable became a part of: by its name, or its content."""
    value, content = cfg._cfg_dict[variable], cfg._cfg_dict.to_dict()
    rest = key[len(variable) :]
    same = [
        f'{path}{rest}'
        for path, node in _nodes(content)
        if '.' in path
        and path.partition('.')[0] in _runner_keys()
        and (
            path.rpartition('.')[2] == variable
            or (isinstance(value, (dict, list, tuple)) and node == value)
        )
    ]
    return f': set {", ".join(same[:3])} instead' if same else ''


def _child(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part)
    if isinstance(node, (list, tuple)) and part.isdigit():
        return node[int(part)] if int(part) < len(node) else None
    return None


def _known_keys(node: Any, top: bool) -> Tuple[List[str], bool]:
    """Keys that a part of the config has or may have, and whether these are
    all."""
    if isinstance(node, (list, tuple)):
        return list(map(str, range(len(node)))), True
    if not isinstance(node, dict):
        return [], False
    if top:
        return [*node, *_runner_keys()], True
    if 'dataset' in node:  # a data loader
        return [*node, *_signature(DataLoader)[0]], False
    if 'type' not in node:
        return list(node), False
    arguments, complete = _arguments(str(node['type']))
    return [*node, *arguments, *_OF_ALL], complete


def _runner_keys() -> List[str]:
    return [*inspect.signature(Runner).parameters, *_READ]


def _arguments(name: str) -> Tuple[List[str], bool]:
    """Arguments of the class of this name, and whether there are no more."""
    bare = name.rpartition('.')[2]
    for registry in _registries():
        for child in _family(registry):
            cls = child.module_dict.get(bare)
            if inspect.isclass(cls):
                return _signature(cls)
    return [], False


def _signature(cls: type) -> Tuple[List[str], bool]:
    names = []
    for owner in cls.__mro__:
        if '__init__' not in vars(owner):
            continue
        parameters = inspect.signature(owner.__init__).parameters.values()
        names += [
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            and p.name not in ('self', *names)
        ]
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return names, True
    return names, False


def _registered(kind: str) -> Dict[str, List[str]]:
    """Names of a registry of any toolbox, as they are written in a config,
    by the name alone."""
    scope = DefaultScope.get_current_instance()
    scope = scope.scope_name if scope else None
    found: Dict[str, List[str]] = {}
    for registry in _registries():
        if registry.name.replace(' ', '_') != kind:
            continue
        for child in _family(registry):
            for name in child.module_dict:
                own = child.scope in (scope, 'mmengine')
                full = name if own else f'{child.scope}.{name}'
                found.setdefault(name, []).append(full)
    return found


def _registries() -> List[Registry]:
    for package in ('sr4ir_mm', 'mmagic'):
        try:
            __import__(f'{package}.registry')
        except ImportError:
            pass
    models = import_module('sr4ir_mm.models')
    for name in models.__all__:  # some of which wait for that
        getattr(models, name)
    return [
        registry
        for registry in vars(mmengine.registry).values()
        if isinstance(registry, Registry)
    ]


def _family(registry: Registry) -> Iterator[Registry]:
    for child in [registry, *registry._children.values()]:
        try:
            child.import_from_location()
        except ImportError:
            continue
        yield child


def _nodes(node: Any, path: str = '') -> Iterator[Tuple[str, Any]]:
    """All parts of a config, with the keys that lead to them."""
    yield path, node
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        return
    for key, child in items:
        yield from _nodes(child, f'{path}.{key}' if path else str(key))
