from typing import Optional

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import ASPPHead, FCNHead

from sr4ir_mm.registry import MODELS


@MODELS.register_module()
class DeepLabV3Head(ASPPHead):
    """DeepLabV3's head as in the paper (that is, torchvision's).

    mmseg's ``ASPPHead`` merges the branches with one 3x3 convolution. Here a
    1x1 convolution with dropout does, and a 3x3 one follows. All of them
    start as PyTorch lets them.

    Args:
        aspp_dropout (float): Dropout after the merging. Defaults to 0.5.
        init_cfg (dict, optional): Initialization config.
        **kwargs: Arguments of :class:`mmseg.models.ASPPHead`.
    """

    def __init__(
        self,
        aspp_dropout: float = 0.5,
        init_cfg: Optional[dict] = None,
        **kwargs,
    ) -> None:
        super().__init__(dropout_ratio=0, init_cfg=init_cfg, **kwargs)
        layer = dict(
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
        branches = (len(self.dilations) + 1) * self.channels
        self.bottleneck = nn.Sequential(
            ConvModule(branches, self.channels, 1, **layer),
            nn.Dropout(aspp_dropout),
            ConvModule(self.channels, self.channels, 3, padding=1, **layer),
        )
        reset_convolutions(self)


@MODELS.register_module()
class TorchvisionFCNHead(FCNHead):
    """The auxiliary head of torchvision's segmentors.

    mmseg's drops whole channels, this one single values; and it starts as
    PyTorch lets it.

    Args:
        dropout_ratio (float): Defaults to 0.1.
        init_cfg (dict, optional): Initialization config.
        **kwargs: Arguments of :class:`mmseg.models.FCNHead`.
    """

    def __init__(
        self,
        dropout_ratio: float = 0.1,
        init_cfg: Optional[dict] = None,
        **kwargs,
    ) -> None:
        super().__init__(dropout_ratio=0, init_cfg=init_cfg, **kwargs)
        self.dropout = nn.Dropout(dropout_ratio)
        reset_convolutions(self)


def reset_convolutions(head: nn.Module) -> None:
    """Undo what mmcv's modules do when they are built: Kaiming's normal
    distribution by the number of outputs is several times as wide."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
