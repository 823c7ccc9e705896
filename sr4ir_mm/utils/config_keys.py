"""Keys of a config that nothing reads, and types and arguments that there are
not."""

import inspect
import re
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Dict, Iterator, List, Optional, Tuple

import mmengine.registry
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from sr4ir_mm.registry import require_package

# Top-level keys that are read, but are no arguments of the runner.
_READ = (
    'auto_scale_lr custom_imports env_cfg default_scope runner_type '
    'load_strict tta_model tta_pipeline compile activation_checkpointing '
    'efficient_conv_bn_eval find_unused_parameters sync_bn '
    'model_wrapper_cfg data_preprocessor noise weights'
).split()
# Keys of any part that has a type.
_OF_ALL = ('_delete_', '_scope_', 'init_cfg', 'with_cp')


def explain_type(name: str, kind: str, cfg: Optional[Config]) -> str:
    """What to say of a type that no registry has.

    Args:
        name (str): The type.
        kind (str): What it would be: the name of a registry.
        cfg (Config, optional): In which it may be.
    """
    cfg = Config() if cfg is None else cfg
    keys = [
        f'{path}.type'
        for path, node in _nodes(cfg._cfg_dict.to_dict())
        if isinstance(node, dict) and node.get('type') == name
    ]
    where = f'{keys[0] if keys else "type"}={name!r}'
    toolbox = name.partition('.')[0]
    if toolbox in MODULE2PACKAGE:
        try:
            require_package(toolbox, where)
        except ImportError as error:
            return str(error)
    known = _registered(kind)
    bare = name.rpartition('.')[2]
    near = known.get(bare) or [
        full
        for match in get_close_matches(bare, known, 3, 0.7)
        for full in known[match]
    ]
    return (
        f'{where}: there is no such {kind}'
        + (
            f'; did you mean {" or ".join(map(repr, near[:3]))}?'
            if near
            else '.'
        )
        + ' What is of another toolbox than default_scope='
        f'{cfg.get("default_scope")!r} needs its prefix, and what is your own '
        'must be in custom_imports.'
    )


def explain_argument(
    name: str, text: str, cfg: Optional[Config]
) -> Optional[str]:
    """What to say of an argument that a class does not have, if the config
    shows which.

    Args:
        name (str): The argument.
        text (str): Of the error.
        cfg (Config, optional): In which it may be.
    """
    cfg = Config() if cfg is None else cfg
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
