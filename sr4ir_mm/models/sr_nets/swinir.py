from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from sr4ir_mm.compat import networks_alone
from sr4ir_mm.registry import MODELS

with networks_alone():
    from mmagic.models.editors.swinir import swinir_net, swinir_rstb


class WindowAttention(swinir_rstb.WindowAttention):
    """mmagic's, by PyTorch's fused attention, and exact under autocast."""

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """
        Args:
            x (Tensor): Features of windows, (images * windows, N, C).
            mask (Tensor, optional): 0, or a large negative value where a
                window does not see, (windows, N, N).
        """
        num, length, channels = x.shape
        heads = self.num_heads
        qkv = self.qkv(x).view(num, length, 3, heads, channels // heads)
        with torch.autocast(x.device.type, enabled=False):
            table = self.relative_position_bias_table
            bias = table[self.relative_position_index.view(-1)]
            bias = bias.view(length, length, heads).permute(2, 0, 1)
            windows = 1
            if mask is not None:
                windows = len(mask)
                bias = (bias + mask[:, None].to(bias)).flatten(0, 1)
            # windows as if they were heads: they have masks of their own
            q, k, v = (
                qkv.to(table.dtype)
                .permute(2, 0, 3, 1, 4)
                .reshape(3, num // windows, windows * heads, length, -1)
            )
            dropout = self.attn_drop.p if self.training else 0.0
            x = F.scaled_dot_product_attention(
                q, k, v, bias[None], dropout, scale=self.scale
            )
            x = x.reshape(num, heads, length, -1).transpose(1, 2)
        return self.proj_drop(self.proj(x.reshape(num, length, channels)))


@MODELS.register_module()
class SwinIRNet(swinir_net.SwinIRNet):
    """mmagic's SwinIR, with PyTorch's fused attention.

    Weights, their names, results and gradients are mmagic's, up to rounding.

    Args:
        **kwargs: Those of mmagic's ``SwinIRNet``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        for module in self.modules():
            if type(module) is swinir_rstb.WindowAttention:
                module.__class__ = WindowAttention
