from .builder import build_sr_net
from .fsrcnn import FSRCNN
from .srmd import SRMD
from .wdsr import WDSR

__all__ = ['FSRCNN', 'SRMD', 'WDSR', 'build_sr_net']
