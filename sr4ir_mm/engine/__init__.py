from .bf16 import BF16OptimWrapper
from .constructor import NetworkOptimWrapperConstructor
from .hooks import CompileHook, SRVisualizationHook
from .loops import AlternatingEpochTrainLoop, AlternatingIterTrainLoop
from .optim import PhaseUpdate

__all__ = [
    'AlternatingEpochTrainLoop',
    'AlternatingIterTrainLoop',
    'BF16OptimWrapper',
    'CompileHook',
    'NetworkOptimWrapperConstructor',
    'PhaseUpdate',
    'SRVisualizationHook',
]
