from .cache import CacheImages
from .digits import MNIST, SVHN
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
    'LoadAnnotationsByValue',
    'LoadLRImageFromFile',
    'MNIST',
    'PackLR',
    'PairedRandomCrop',
    'SVHN',
    'VOCBoxesAsCOCO',
]
