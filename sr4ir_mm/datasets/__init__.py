from .transforms import CQMix, EvaluateAtInputSize

__all__ = ['CQMix', 'EvaluateAtInputSize']
