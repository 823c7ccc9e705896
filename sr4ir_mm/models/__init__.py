from importlib.util import find_spec

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
from .sr_nets import FSRCNN, LIIF, SRMD, WDSR
from .sr_segmentor import SRSegmentor
from .sr_task_model import SRTaskModel
from .torchvision_mobilenet_v3 import TorchvisionMobileNetV3

__all__ = [
    'AdversarialLoss',
    'Bicubic',
    'DegradationChain',
    'DiscriminatorLoss',
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
    'TDPLoss',
    'TaskLoss',
    'TorchvisionMobileNetV3',
    'SRMD',
    'WDSR',
]

if find_spec('mmagic'):
    from .sr_nets.edsr import EDSRNet
    from .sr_nets.swinir import SwinIRNet

    __all__ += ['EDSRNet', 'SwinIRNet']

# The paper's heads are variations of mmseg's own; without mmseg, SRSegmentor
# says what to install.
if find_spec('mmseg'):
    from .deeplabv3_head import DeepLabV3Head, TorchvisionFCNHead

    __all__ += ['DeepLabV3Head', 'TorchvisionFCNHead']

# The paper's detector is mmdet's, with three of its parts replaced.
if find_spec('mmdet'):
    from .torchvision_faster_rcnn import (
        TorchvisionAnchorGenerator,
        TorchvisionAssigner,
        TorchvisionBBoxHead,
    )

    __all__ += [
        'TorchvisionAnchorGenerator',
        'TorchvisionAssigner',
        'TorchvisionBBoxHead',
    ]
