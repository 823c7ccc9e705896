"""SR4IR: super-resolution for image recognition, as an OpenMMLab plugin."""

from importlib import import_module
from typing import Any, List

from . import compat

__version__ = '0.1.0'

__all__ = ['SRInferencer', '__version__', 'train', 'wrap']

compat.apply()


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch when it is asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module('sr4ir_mm.apis'), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
