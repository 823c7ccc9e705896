from .adversarial_loss import (
    AdversarialLoss,
    DiscriminatorLoss,
    RealFakeBranch,
)
from .feature_matching_loss import FeatureMatchingLoss
from .fixed_tdp_loss import FixedTDPLoss
from .perceptual_loss import PerceptualLoss
from .pixel_loss import PixelLoss
from .task_loss import TaskLoss
from .tdp_loss import TDPLoss

__all__ = [
    'AdversarialLoss',
    'DiscriminatorLoss',
    'FeatureMatchingLoss',
    'FixedTDPLoss',
    'PerceptualLoss',
    'PixelLoss',
    'RealFakeBranch',
    'TDPLoss',
    'TaskLoss',
]
