from typing import Optional, Sequence, Tuple

import torch.nn as nn
import torchvision
from mmengine.model import BaseModule
from torch import Tensor
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

from sr4ir_mm.registry import MODELS


@MODELS.register_module()
class TorchvisionMobileNetV3(BaseModule):
    """torchvision's MobileNetV3-Large as a backbone for any toolbox.

    The paper's segmentor and detector stand on it. The toolboxes have
    MobileNetV3 too, but not this one: mmseg's has output stride 8 and pads
    asymmetrically, mmpretrain's cannot be dilated. This is the original, so
    that public ImageNet weights load key for key.

    Args:
        out_indices (Sequence[int]): Which of the 17 layers to return.
            4 has 40 channels at stride 8; 13 has 160 and 16 has 960 at the
            last stride. Defaults to (16, ).
        dilated (bool): Dilate the last three blocks instead of striding, for
            output stride 16. Defaults to False (output stride 32).
        frozen_stages (int): Layers [0, frozen_stages] are not trained and
            their BatchNorm statistics not updated. Defaults to -1.
        frozen_norm (bool): Never train any BatchNorm layer, neither affine
            parameters nor statistics, as torchvision's detectors do. Like
            theirs, they then have epsilon 1e-5 instead of 1e-3.
            Defaults to False.
        init_cfg (dict, optional): Initialization config.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (16,),
        dilated: bool = False,
        frozen_stages: int = -1,
        frozen_norm: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.features = torchvision.models.mobilenet_v3_large(
            dilated=dilated,
            norm_layer=FrozenBatchNorm2d if frozen_norm else None,
        ).features
        if frozen_norm:
            _fold_norms(self.features)
        if not all(0 <= i < len(self.features) for i in out_indices):
            raise ValueError(
                f'out_indices={tuple(out_indices)} must be within'
                f' 0..{len(self.features) - 1}.'
            )
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self._freeze_stages()

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """
        Args:
            x (Tensor): Task-normalised image, (N, 3, H, W).

        Returns:
            tuple[Tensor]: The outputs of the layers in ``out_indices``.
        """
        outs = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> 'TorchvisionMobileNetV3':
        super().train(mode)
        self._freeze_stages()
        return self

    def _freeze_stages(self) -> None:
        for layer in self.features[: self.frozen_stages + 1]:
            layer.eval().requires_grad_(False)


class ConvFrozenNorm(nn.Sequential):
    """A convolution, frozen BatchNorm as a part of it, and an activation.

    BatchNorm that is frozen multiplies and adds constants: the weights can be
    multiplied instead of the feature map, which spares two passes over it.
    Results and gradients are those of the three layers, up to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """
        Args:
            x (Tensor): Features, (N, C, H, W).
        """
        conv, norm, *activation = self
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        x = conv._conv_forward(
            x,
            conv.weight * factor.view(-1, 1, 1, 1),
            norm.bias - norm.running_mean * factor,
        )
        for layer in activation:
            x = layer(x)
        return x


def _fold_norms(network: nn.Module) -> None:
    for name, child in network.named_children():
        if isinstance(child, Conv2dNormActivation):
            setattr(network, name, ConvFrozenNorm(*child))
        else:
            _fold_norms(child)
