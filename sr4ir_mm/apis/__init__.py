from .model import init_model
from .own_data import use_data
from .sr_inferencer import SRInferencer
from .wrap import wrap

__all__ = ['SRInferencer', 'init_model', 'use_data', 'wrap']
