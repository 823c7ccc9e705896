from .builder import build_sr_net, super_resolve
from .fsrcnn import FSRCNN
from .liif import LIIF
from .srmd import SRMD
from .wdsr import WDSR

__all__ = ['FSRCNN', 'LIIF', 'SRMD', 'WDSR', 'build_sr_net', 'super_resolve']
