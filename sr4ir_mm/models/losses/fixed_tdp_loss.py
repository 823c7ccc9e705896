from typing import List

from torch import Tensor

from sr4ir_mm.registry import MODELS

from .tdp_loss import TDPLoss


@MODELS.register_module()
class FixedTDPLoss(TDPLoss):
    """TDP loss through the teacher, ``model.teacher``: a fixed task model that
    has been trained before (SR4IR, ablation B; half of HLF in EDTR, ICCV
    2025).

    Args:
        **kwargs: See :class:`TDPLoss`.
    """

    name = 'fixed_tdp'

    @property
    def teacher_taps(self):
        """Where it reads the teacher's features."""
        return self.taps

    def sr_features(self, model, views) -> List[Tensor]:
        """The teacher's features of SR."""
        return model.features(views, 'sr', self.taps, model.teacher())

    def target_features(self, model, views, view: str) -> List[Tensor]:
        """Its features of what SR should match."""
        return model.teacher_features(views, view, self.taps)
