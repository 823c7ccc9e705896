from .fsrcnn import FSRCNN
from .wdsr import WDSR

__all__ = ['FSRCNN', 'WDSR']
