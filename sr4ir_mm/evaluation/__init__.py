from .metrics import SRLPIPS, SRPSNR, SRSSIM, SRTFD, DumpPredictions

__all__ = ['DumpPredictions', 'SRLPIPS', 'SRPSNR', 'SRSSIM', 'SRTFD']
