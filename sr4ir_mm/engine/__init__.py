from .checkpoint_hook import CheckpointHook
from .hooks import SRVisualizationHook
from .loops import AlternatingEpochTrainLoop, AlternatingIterTrainLoop
from .optim import PhaseUpdate
from .runner import Runner

__all__ = [
    'AlternatingEpochTrainLoop',
    'AlternatingIterTrainLoop',
    'CheckpointHook',
    'PhaseUpdate',
    'Runner',
    'SRVisualizationHook',
]
