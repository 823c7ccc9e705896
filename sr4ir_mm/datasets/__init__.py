from .cache import CacheImages
from .digits import MNIST, SVHN
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
