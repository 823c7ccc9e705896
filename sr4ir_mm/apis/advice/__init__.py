from .advise import advise
from .verdict import Scores, Verdict, judge

__all__ = ['Scores', 'Verdict', 'advise', 'judge']
