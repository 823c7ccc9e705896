from .bf16 import BF16OptimWrapper
from .checkpoint_hook import CheckpointHook
from .constructor import NetworkOptimWrapperConstructor
from .hooks import (
    CompileHook,
    ParamSchedulerHook,
    PreciseBNHook,
    SRVisualizationHook,
)
from .loops import AlternatingEpochTrainLoop, AlternatingIterTrainLoop
from .optim import PhaseUpdate
from .runner import Runner
from .screen import ProgressHook

__all__ = [
    'AlternatingEpochTrainLoop',
    'AlternatingIterTrainLoop',
    'BF16OptimWrapper',
    'CheckpointHook',
    'CompileHook',
    'NetworkOptimWrapperConstructor',
    'ParamSchedulerHook',
    'PhaseUpdate',
    'PreciseBNHook',
    'ProgressHook',
    'Runner',
    'SRVisualizationHook',
]
