from .transforms import CQMix, EvaluateAtInputSize, VOCBoxesAsCOCO

__all__ = ['CQMix', 'EvaluateAtInputSize', 'VOCBoxesAsCOCO']
