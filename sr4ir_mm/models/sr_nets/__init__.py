from .builder import build_sr_net, super_resolve
from .fsrcnn import FSRCNN
from .liif import LIIF
from .spandrel import Spandrel, by_name
from .srmd import SRMD
from .wdsr import WDSR

__all__ = [
    'FSRCNN',
    'LIIF',
    'SRMD',
    'Spandrel',
    'WDSR',
    'build_sr_net',
    'by_name',
    'super_resolve',
]
