from .builder import build_sr_net
from .fsrcnn import FSRCNN
from .wdsr import WDSR

__all__ = ['FSRCNN', 'WDSR', 'build_sr_net']
