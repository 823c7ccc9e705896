from importlib import import_module
from typing import Any

__all__ = [
    'SRInferencer',
    'init_model',
    'shorten',
    'train',
    'use_data',
    'wrap',
]

# Each is imported when it is asked for: what one needs takes long.
_HOMES = dict(
    SRInferencer='inferencer',
    init_model='model',
    shorten='schedule',
    train='training',
    use_data='own_data',
    wrap='wrapping',
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
