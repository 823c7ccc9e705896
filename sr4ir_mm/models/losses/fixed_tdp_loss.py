import copy
from typing import Dict

from torch import Tensor

from sr4ir_mm.registry import MODELS

from .frozen_network import load_frozen
from .tdp_loss import TDPLoss


@MODELS.register_module()
class FixedTDPLoss(TDPLoss):
    """TDP loss through a fixed, pre-trained task model (SR4IR, ablation B).

    The features are those of a frozen copy of the task model, in eval mode,
    with the weights of ``checkpoint``. The copy is made when the loss is
    first computed. It is no submodule, so that it is neither trained, nor
    synchronised, nor saved with the model, and is not needed to predict.

    Args:
        checkpoint (str): Weights of the task model: of a training of this
            package (in the paper H -> T, recipe ``h2t``), or of the toolbox's
            own training.
        **kwargs: See :class:`TDPLoss`.
    """

    def __init__(self, checkpoint: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.checkpoint = checkpoint
        self._fixed = []  # a list hides it from nn.Module

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_tdp``; see :class:`Loss`."""
        if not self._fixed:
            network = copy.deepcopy(model.task_model)
            # a discriminator's part, which no other training has
            network._modules.pop('real_fake_branch', None)
            network = load_frozen(
                network,
                self.checkpoint,
                key='FixedTDPLoss.checkpoint',
            )
            self._fixed.append(network)
        # the same model, but for its task model
        fixed = copy.copy(model)
        fixed._modules = dict(model._modules, task_model=self._fixed[0])
        return super().forward(fixed, views)
