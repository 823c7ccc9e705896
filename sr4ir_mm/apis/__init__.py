from .model import init_model
from .sr_inferencer import SRInferencer

__all__ = ['SRInferencer', 'init_model']
