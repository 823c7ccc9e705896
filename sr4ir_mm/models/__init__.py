from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .degradations import (
    JPEG,
    Bicubic,
    DegradationChain,
    GaussianBlur,
    GaussianNoise,
    PoissonNoise,
    RandomBlur,
    RandomChoice,
    Resize,
)
from .losses import (
    AdversarialLoss,
    DiscriminatorLoss,
    FeatureMatchingLoss,
    FixedTDPLoss,
    PerceptualLoss,
    PixelLoss,
    RealFakeBranch,
    TaskLoss,
    TDPLoss,
)
from .sr_classifier import SRClassifier
from .sr_detector import SRDetector
from .sr_nets import FSRCNN, LIIF, SRMD, WDSR, EDSRNet, Spandrel, SwinIRNet
from .sr_segmentor import SRSegmentor
from .sr_task_model import SRTaskModel
from .torchvision_mobilenet_v3 import TorchvisionMobileNetV3

__all__ = [
    'AdversarialLoss',
    'Bicubic',
    'DegradationChain',
    'DiscriminatorLoss',
    'EDSRNet',
    'FeatureMatchingLoss',
    'FixedTDPLoss',
    'GaussianBlur',
    'GaussianNoise',
    'JPEG',
    'LIIF',
    'PerceptualLoss',
    'FSRCNN',
    'PixelLoss',
    'PoissonNoise',
    'RandomBlur',
    'RandomChoice',
    'RealFakeBranch',
    'Resize',
    'SRClassifier',
    'SRDetector',
    'SRSegmentor',
    'SRTaskModel',
    'Spandrel',
    'SwinIRNet',
    'TDPLoss',
    'TaskLoss',
    'TorchvisionMobileNetV3',
    'SRMD',
    'WDSR',
]

# What each toolbox's own classes are varied by, and where that is. It is
# imported when it is asked for (PEP 562): a toolbox takes seconds.
_VARIED = dict(
    mmseg=dict(
        DeepLabV3Head='deeplabv3_head', TorchvisionFCNHead='deeplabv3_head'
    ),
    mmdet=dict(
        TorchvisionAnchorGenerator='torchvision_faster_rcnn',
        TorchvisionAssigner='torchvision_faster_rcnn',
        TorchvisionBBoxHead='torchvision_faster_rcnn',
    ),
)
_HOMES = {
    name: home
    for toolbox, names in _VARIED.items()
    if find_spec(toolbox)
    for name, home in names.items()
}
__all__ += [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
