from .metrics import SRLPIPS, SRPSNR, SRSSIM

__all__ = ['SRLPIPS', 'SRPSNR', 'SRSSIM']
