from typing import Dict, List

import torch
import torch.nn as nn
import torchvision
from torch import Tensor

from sr4ir_mm.registry import MODELS

from ..phase import Loss
from .frozen_network import load_frozen
from .pixel_loss import check_weight, get_criterion

# ImageNet's, for RGB in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class PerceptualLoss(Loss):
    """Distance of SR and HR in the features of an ImageNet VGG (SR4IR,
    ablation A).

    A loss, not a model: the VGG is made and its weights are read when the
    loss is first computed. It is no submodule, so that it is neither trained,
    nor synchronised, nor saved with the model, and is not needed to predict.

    mmagic's loss of this name is not used, because it ignores ``pretrained``:
    it always downloads torchvision's weights.

    Args:
        weight (float): Defaults to 1.
        layer_weights (dict[str, float]): Weight of each layer, by its index
            in torchvision's ``vgg.features``. Defaults to ``{'34': 1.0}``:
            conv5_4 of VGG19 before its ReLU, as in mmagic's SRGAN and ESRGAN
            (the paper names no layer).
        vgg_type (str): Name in ``torchvision.models``. Defaults to ``vgg19``.
        pretrained (str): Weights in torchvision's layout: a path, or a name
            that mmengine downloads. Defaults to ``torchvision://vgg19``.
        criterion (str): ``l1`` or ``l2``, averaged over all elements.
            Defaults to ``l1``.
        **kwargs: See :class:`Loss`.
    """

    is_mean = True

    def __init__(
        self,
        weight: float = 1.0,
        layer_weights: Dict[str, float] = {'34': 1.0},
        vgg_type: str = 'vgg19',
        pretrained: str = 'torchvision://vgg19',
        criterion: str = 'l1',
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.weight = check_weight(weight, 'PerceptualLoss.weight')
        self.layer_weights = {
            int(k): check_weight(w, f'PerceptualLoss.layer_weights[{k}]')
            for k, w in layer_weights.items()
        }
        self.vgg_type = vgg_type
        self.pretrained = pretrained
        self.criterion = get_criterion(criterion)
        self._vgg = []  # a list hides it from nn.Module
        for name, values in (('mean', MEAN), ('std', STD)):
            values = torch.tensor(values).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_perceptual``; see :class:`Loss`."""
        look = model.bands.look
        sr = self._features(look(views['sr']))
        with torch.no_grad():
            hr = self._features(look(views['hr']))
        weights = self.layer_weights.values()
        loss = sum(
            weight * self.criterion(*pair)
            for weight, *pair in zip(weights, sr, hr)
        )
        return dict(loss_perceptual=self.weight * loss)

    def _features(self, image: Tensor) -> List[Tensor]:
        """RGB in [0, 1], (N, 3, H, W) -> maps of the layers asked for."""
        if not self._vgg:
            self._vgg.append(self._build(image.device))
        features = (image - self.mean) / self.std
        found = {}
        for index, layer in enumerate(self._vgg[0]):
            features = layer(features)
            if index in self.layer_weights:
                # the next ReLU works in place
                found[index] = features.clone()
        return [found[index] for index in self.layer_weights]

    def _build(self, device: torch.device) -> nn.Module:
        """The layers up to the last one asked for."""
        with torch.device('meta'):  # no memory for the classifier
            layers = getattr(torchvision.models, self.vgg_type)().features
        last = max(self.layer_weights)
        if last >= len(layers):
            raise ValueError(
                f'PerceptualLoss.layer_weights: no layer {last}; '
                f'{self.vgg_type}.features has {len(layers)}.'
            )
        return load_frozen(
            layers.to_empty(device=device),
            self.pretrained,
            key='PerceptualLoss.pretrained',
            whole=True,
        )[: last + 1]
