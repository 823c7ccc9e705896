from .digits import MNIST, SVHN
from .transforms import CQMix, EvaluateAtInputSize

__all__ = ['CQMix', 'EvaluateAtInputSize', 'MNIST', 'SVHN']
