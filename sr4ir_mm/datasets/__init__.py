from importlib import import_module
from typing import Any

from .cache import CacheImages
from .digits import MNIST, SVHN
from .rasters import IgnoreNodata, LoadRasterAnnotations, LoadRasterFromFile
from .samplers import AspectRatioBatchSampler
from .transforms import (
    CQMix,
    DegradeInPipeline,
    EvaluateAtInputSize,
    LoadAnnotationsByValue,
    LoadLRImageFromFile,
    PackLR,
    PairedRandomCrop,
    VOCBoxesAsCOCO,
)

__all__ = [
    'AspectRatioBatchSampler',
    'CQMix',
    'CacheImages',
    'DegradeInPipeline',
    'EvaluateAtInputSize',
    'IgnoreNodata',
    'LoadAnnotationsByValue',
    'LoadLRImageFromFile',
    'LoadRasterAnnotations',
    'LoadRasterFromFile',
    'MNIST',
    'PackLR',
    'PairedRandomCrop',
    'SVHN',
    'VOCBoxesAsCOCO',
]


def __getattr__(name: str) -> Any:
    """What needs mmseg, which takes seconds (PEP 562)."""
    if name != 'ListedMasks':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return import_module(f'{__name__}.listed_masks').ListedMasks
