from .hooks import SRVisualizationHook
from .loops import AlternatingEpochTrainLoop, AlternatingIterTrainLoop
from .optim import PhaseUpdate

__all__ = [
    'AlternatingEpochTrainLoop',
    'AlternatingIterTrainLoop',
    'PhaseUpdate',
    'SRVisualizationHook',
]
