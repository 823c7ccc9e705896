"""Configs inside checkpoints are read, never run.

mmengine stores a config as Python text, in which a stranger could write any
program. And where no registry knows a ``type``, mmengine calls what has that
name in any package.
"""

import ast
import math
import re
from importlib.util import find_spec
from inspect import ismodule
from typing import Any, Iterator, Set, Tuple

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string, import_modules_from_strings

PACKAGES = 'sr4ir_mm mmengine mmcv mmseg mmdet mmpretrain mmagic'.split()
# What toolboxes hand to `eval`: mmcv's NMS, torchvision's transforms, mmdet's
# CameraMotionCompensation.
EVALUATED = ('type', 'dtype', 'warp_mode')
# The prefix is that of torchvision's transforms in mmpretrain.
_NAME = re.compile(r'(?:torchvision/)?[^\W\d]\w*(?:\.[^\W\d]\w*)*')
_MALFORMED = (AttributeError, TypeError, ValueError, RecursionError)


def read_config(text: str, where: str) -> Config:
    """Read a config that mmengine dumped (``Config.pretty_text``).

    Args:
        text (str): Assignments of plain data: numbers, strings, lists, tuples,
            dicts and ``dict(...)``.
        where (str): What holds it, for error messages.

    Raises:
        ValueError: If it is more than data, or names what is not registered,
            or a package that is no toolbox.
    """
    where = f'The config inside {where}'
    try:
        settings = read_data(text, where)
    except ValueError as error:
        raise ValueError(
            f'{error}: give a config of your own as well.'
        ) from None
    imports = list(_find_names(settings, 'imports'))
    named = {*imports, *_find_names(settings, 'default_scope', '_scope_')}
    unknown = {name for name in named if not _is_ours(name)}
    unknown |= {
        name
        for name in _find_names(settings, *EVALUATED)
        if not _NAME.fullmatch(name)
    }
    if not unknown:
        import_modules_from_strings(imports, allow_failed_imports=True)
        kinds = set(_find_names(settings, 'type'))
        unknown = {kind for kind in kinds if not _is_safe_type(kind)}
    if unknown:
        name = sorted(unknown)[0]
        raise ValueError(
            f'{where} names {name!r}, which is nothing that '
            'sr4ir_mm or a toolbox has registered, and is not called: give a '
            'config of your own as well.'
        )
    return Config(settings)


def read_data(text: str, where: str) -> dict:
    """The assignments of a config that mmengine dumped. Nothing is imported,
    so that there may be any ``type``.

    Args:
        text (str): See :func:`read_config`.
        where (str): What it is, for error messages.

    Raises:
        ValueError: If it is more than data.
    """
    settings = {}
    try:
        for node in ast.parse(text).body:
            if not isinstance(node, ast.Assign):
                raise _NotDataError(node)
            settings[node.targets[0].id] = _value(node.value)
    except (_NotDataError, SyntaxError, *_MALFORMED) as error:
        raise ValueError(
            f'{where} is more than data ({error}), and is not run'
        ) from None
    return settings


class _NotDataError(Exception):
    def __init__(self, node: ast.AST) -> None:
        super().__init__(f'line {node.lineno}: {type(node).__name__}')


def _value(node: ast.AST) -> Any:
    """What a piece of text stands for."""
    if isinstance(node, ast.Call) and _name(node.func) == 'dict':
        pairs = {pair.arg: _value(pair.value) for pair in node.keywords}
        if len(node.args) > 1 or None in pairs:
            raise _NotDataError(node)
        return dict(*map(_value, node.args), **pairs)
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys, values = map(_value, node.keys), map(_value, node.values)
        return dict(zip(keys, values))
    for kind, make in ((ast.List, list), (ast.Tuple, tuple), (ast.Set, set)):
        if isinstance(node, kind):
            return make(map(_value, node.elts))
    if _name(node) in ('inf', 'nan'):
        return getattr(math, node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _NotDataError(node) from None


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ''


def _find_names(node: Any, *keys: str) -> Iterator[str]:
    """The strings that any of the keys has, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in keys and isinstance(value, str):
                yield value
            elif key in keys and isinstance(value, (list, tuple)):
                yield from (name for name in value if isinstance(name, str))
        node = tuple(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from _find_names(child, *keys)


def _is_ours(name: str) -> bool:
    return name.split('.')[0] in PACKAGES


def _is_safe_type(kind: str) -> bool:
    """Whether mmengine finds it in a registry, or finds nothing."""
    if '.' not in kind:
        return find_spec(kind) is None
    if not _is_ours(kind):
        return False
    found = get_object_from_string(kind)
    return found is None or ismodule(found) or found in _registered()


def _registered() -> Tuple:
    """All that is in registries by now."""
    roots: Set[Registry] = {
        x for x in vars(mmengine.registry).values() if isinstance(x, Registry)
    }
    family = [*roots]
    for registry in family:
        family.extend(registry.children.values())
    return tuple(
        entry for registry in family for entry in registry.module_dict.values()
    )
