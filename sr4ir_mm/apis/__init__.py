from .model import init_model
from .schedule import shorten
from .sr_inferencer import SRInferencer
from .wrap import wrap

__all__ = ['SRInferencer', 'init_model', 'shorten', 'wrap']
