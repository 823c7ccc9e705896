from typing import Sequence, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from sr4ir_mm.registry import MODELS

from .builder import build_sr_net
from .edsr_files import DIV2K_MEAN


@MODELS.register_module()
class LIIF(BaseModule):
    """A coordinate network of mmagic as an SR network, for any whole scale.

    The network gives the colour at any point of the image; here it is asked
    for those of the pixels of SR. The same weights serve all scales.

    Args:
        network (dict): Config of ``mmagic.LIIFEDSRNet`` or
            ``mmagic.LIIFRDNNet``. Its ``init_cfg`` belongs here.
        scale (int): Factor between LR and SR.
        mean (Sequence[float]): RGB in [0, 1], which the network sees as 0.
            Defaults to that of DIV2K, which mmagic's weights know.
    """

    any_scale = True

    def __init__(
        self,
        network: dict,
        scale: int,
        mean: Sequence[float] = DIV2K_MEAN,
    ) -> None:
        super().__init__()
        self.network = build_sr_net(network)
        self.scale = scale
        mean = torch.tensor(mean).view(3, 1, 1)
        self.register_buffer('mean', mean, persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): RGB in [0, 1], (N, 3, h, w).

        Returns:
            Tensor: RGB around [0, 1], (N, 3, h * scale, w * scale).
        """
        size = lr.shape[2] * self.scale, lr.shape[3] * self.scale
        points = _centers(size).to(lr).expand(len(lr), -1, -1)
        pixel = points.new_tensor([2 / side for side in size])
        colors = self.network(
            lr - self.mean,
            points,
            pixel.expand_as(points),
            test_mode=not torch.is_grad_enabled(),  # in pieces, without graph
        )
        return colors.transpose(1, 2).reshape(-1, 3, *size) + self.mean


def _centers(size: Tuple[int, int]) -> Tensor:
    """Row and column of each pixel of an image of ``size``, in [-1, 1],
    (H * W, 2)."""
    rows, columns = ((2 * torch.arange(side) + 1) / side - 1 for side in size)
    return torch.stack(
        [rows.repeat_interleave(size[1]), columns.repeat(size[0])], dim=1
    )
