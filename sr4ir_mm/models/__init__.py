from importlib.util import find_spec

from .degradations import Bicubic
from .losses import PixelLoss, TaskLoss, TDPLoss
from .sr_nets import FSRCNN, WDSR
from .sr_segmentor import SRSegmentor
from .sr_task_model import SRTaskModel
from .torchvision_mobilenet_v3 import TorchvisionMobileNetV3

__all__ = [
    'Bicubic',
    'FSRCNN',
    'PixelLoss',
    'SRSegmentor',
    'SRTaskModel',
    'TDPLoss',
    'TaskLoss',
    'TorchvisionMobileNetV3',
    'WDSR',
]

# The paper's head is a variation of mmseg's own; without mmseg, SRSegmentor
# says what to install.
if find_spec('mmseg'):
    from .deeplabv3_head import DeepLabV3Head

    __all__ += ['DeepLabV3Head']
