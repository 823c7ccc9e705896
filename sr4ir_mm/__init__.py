"""SR4IR: super-resolution for image recognition, as an OpenMMLab plugin."""

from . import compat

__version__ = '0.1.0'

compat.apply()
