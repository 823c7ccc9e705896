import torch.nn as nn
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import ASPPHead

from sr4ir_mm.registry import MODELS


@MODELS.register_module()
class DeepLabV3Head(ASPPHead):
    """DeepLabV3's head as in the paper (that is, torchvision's).

    mmseg's ``ASPPHead`` merges the branches with one 3x3 convolution. Here a
    1x1 convolution with dropout does, and a 3x3 one follows.

    Args:
        aspp_dropout (float): Dropout after the merging. Defaults to 0.5.
        **kwargs: Arguments of :class:`mmseg.models.ASPPHead`.
    """

    def __init__(self, aspp_dropout: float = 0.5, **kwargs) -> None:
        super().__init__(dropout_ratio=0, **kwargs)
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
