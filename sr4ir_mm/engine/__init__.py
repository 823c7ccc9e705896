from .constructor import NetworkOptimWrapperConstructor
from .hooks import SRVisualizationHook
from .loops import AlternatingEpochTrainLoop, AlternatingIterTrainLoop
from .optim import PhaseUpdate

__all__ = [
    'AlternatingEpochTrainLoop',
    'AlternatingIterTrainLoop',
    'NetworkOptimWrapperConstructor',
    'PhaseUpdate',
    'SRVisualizationHook',
]
