from typing import Optional, Sequence

from torch import Tensor, nn

from sr4ir_mm.registry import MODELS

from .sr_task_model import SRTaskModel


@MODELS.register_module()
class SRClassifier(SRTaskModel):
    """A super-resolution network in front of any mmpretrain classifier.

    Args:
        **kwargs: See :class:`SRTaskModel`.
    """

    toolbox = 'mmpretrain'
    task_model_base = 'BaseClassifier'

    def extract_maps(
        self, inputs: Tensor, network: Optional[nn.Module] = None
    ) -> Sequence[Tensor]:
        """See :meth:`SRTaskModel.extract_maps`. Those of the backbone: the
        neck pools them.

        Raises:
            ValueError: If it is no ImageClassifier, so that there is no
                backbone to read.
        """
        from mmpretrain.models import ImageClassifier

        if not isinstance(self.task_model, ImageClassifier):
            raise ValueError(
                f'TDPLoss.taps: {type(self.task_model).__name__} has no '
                'feature maps of a backbone. Name its modules instead.'
            )
        network = network or self.task_model
        return network.extract_feat(inputs, stage='backbone')

    @property
    def maps_module(self) -> nn.Module:
        """See :attr:`SRTaskModel.maps_module`."""
        return self.task_model.backbone
