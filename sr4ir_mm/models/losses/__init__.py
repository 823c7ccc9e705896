from .pixel_loss import PixelLoss
from .task_loss import TaskLoss
from .tdp_loss import TDPLoss

__all__ = ['PixelLoss', 'TDPLoss', 'TaskLoss']
