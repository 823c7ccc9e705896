from .model import init_model
from .sr_inferencer import SRInferencer
from .wrap import wrap

__all__ = ['SRInferencer', 'init_model', 'wrap']
