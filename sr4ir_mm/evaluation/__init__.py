from .metrics import SRLPIPS, SRPSNR, SRSSIM, DumpPredictions

__all__ = ['DumpPredictions', 'SRLPIPS', 'SRPSNR', 'SRSSIM']
