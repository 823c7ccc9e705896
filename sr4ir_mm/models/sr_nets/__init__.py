from .builder import build_sr_net, super_resolve
from .edsr import EDSRNet
from .fsrcnn import FSRCNN
from .liif import LIIF
from .spandrel import Spandrel, by_name
from .srmd import SRMD
from .swinir import SwinIRNet
from .wdsr import WDSR

__all__ = [
    'EDSRNet',
    'FSRCNN',
    'LIIF',
    'SRMD',
    'Spandrel',
    'SwinIRNet',
    'WDSR',
    'build_sr_net',
    'by_name',
    'super_resolve',
]
