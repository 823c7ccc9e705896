from .cache import CacheImages
from .digits import MNIST, SVHN
from .samplers import AspectRatioBatchSampler
from .transforms import (
    CQMix,
    DegradeInPipeline,
    EvaluateAtInputSize,
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
    'LoadLRImageFromFile',
    'MNIST',
    'PackLR',
    'PairedRandomCrop',
    'SVHN',
    'VOCBoxesAsCOCO',
]
