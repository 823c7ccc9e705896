from typing import List

from torch import Tensor, nn

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

    def network(self, model) -> nn.Module:
        """See :class:`TDPLoss`."""
        return model.teacher()

    def target_features(self, model, views, view: str) -> List[Tensor]:
        """See :class:`TDPLoss`."""
        return model.teacher_features(views, view, self.taps)
