from .hooks import SRVisualizationHook
from .loops import AlternatingEpochTrainLoop, AlternatingIterTrainLoop
from .optim import JointOptimWrapper

__all__ = [
    'AlternatingEpochTrainLoop',
    'AlternatingIterTrainLoop',
    'JointOptimWrapper',
    'SRVisualizationHook',
]
