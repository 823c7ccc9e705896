from importlib import import_module
from typing import Any

from .own_data import use_data
from .schedule import shorten
from .wrap import wrap

__all__ = [
    'SRInferencer',
    'init_model',
    'shorten',
    'train',
    'use_data',
    'wrap',
]

# Configs import this package for `wrap` and the like alone.
_HOMES = dict(
    SRInferencer='sr_inferencer', init_model='model', train='training'
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
