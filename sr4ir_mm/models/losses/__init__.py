from .adversarial_loss import (
    AdversarialLoss,
    DiscriminatorLoss,
    RealFakeBranch,
)
from .fixed_tdp_loss import FixedTDPLoss
from .perceptual_loss import PerceptualLoss
from .pixel_loss import PixelLoss
from .task_loss import TaskLoss
from .tdp_loss import TDPLoss

__all__ = [
    'AdversarialLoss',
    'DiscriminatorLoss',
    'FixedTDPLoss',
    'PerceptualLoss',
    'PixelLoss',
    'RealFakeBranch',
    'TDPLoss',
    'TaskLoss',
]
