import torch.nn as nn
from mmengine.model import BaseModule, initialize
from torch import Tensor

from sr4ir_mm.registry import MODELS

# A transposed convolution's weight is (in, out, k, k): what PyTorch calls its
# fan-out is all that flows into stride * stride output pixels.
KAIMING = [
    dict(type='Kaiming', layer='Conv2d', mode='fan_in'),
    dict(type='Kaiming', layer='ConvTranspose2d', mode='fan_out'),
]


@MODELS.register_module()
class FSRCNN(BaseModule):
    """FSRCNN, whose first layers a classifier can share (SR2, section 2).

    Dong et al., "Accelerating the Super-Resolution Convolutional Neural
    Network" (ECCV 2016, https://arxiv.org/abs/1608.00367): feature extraction
    (5x5), shrinking (1x1), mapping (3x3), expanding (1x1), each followed by
    PReLU, and a 9x9 transposed convolution. Schirrmacher et al., "SR2:
    Super-resolution with structure-aware reconstruction" (ICIP 2020), share
    the first layer.

    The numbers are those of the FSRCNN paper, FSRCNN(56, 12, 4), as the SR2
    paper has its own only in a figure. What neither states:

    - The channels: RGB, where the FSRCNN paper sees luma only. A grey network
      has ``in_channels=out_channels=1``.
    - The place of the 9x9 kernel: its middle lies on the middle of the LR
      pixel, or half an HR pixel beside it for even factors, so that also x8
      has no HR pixel out of its reach.
    - The initialization of the last layer: by He et al. (2015), as SR2 has it
      for all layers.

    Args:
        in_channels (int): Defaults to 3.
        out_channels (int): Defaults to 3.
        mid_channels (int): Channels of the first layer and of the expanded
            features. Defaults to 56.
        num_blocks (int): Number of mapping layers. Defaults to 4.
        upscale_factor (int): 1 to 9. Defaults to 4.
        shrink_channels (int): Channels of the mapping layers. Defaults to 12.
        num_shared (int): Length of the shared prefix, in convolutions with
            their PReLU: 1 to ``num_blocks + 3``, which is all but the
            transposed one. Weights fit whatever it is. Defaults to 1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 56,
        num_blocks: int = 4,
        upscale_factor: int = 4,
        shrink_channels: int = 12,
        num_shared: int = 1,
    ) -> None:
        super().__init__()
        if not 1 <= upscale_factor <= 9:
            raise ValueError(
                f'FSRCNN: upscale_factor={upscale_factor}: expected 1 to 9, '
                'the size of its last kernel.'
            )
        check_num_shared('FSRCNN', num_shared, num_blocks + 3)
        self.num_shared = num_shared
        widths = [
            in_channels,
            mid_channels,
            *[shrink_channels] * (num_blocks + 1),
            mid_channels,
        ]
        kernels = [5, 1, *[3] * num_blocks, 1]
        self.layers = nn.Sequential(
            *[
                nn.Sequential(
                    nn.Conv2d(width_in, width, kernel, padding=kernel // 2),
                    nn.PReLU(width),
                )
                for width_in, width, kernel in zip(widths, widths[1:], kernels)
            ]
        )
        self.shared_channels = widths[num_shared]
        self.upsample = nn.ConvTranspose2d(
            mid_channels,
            out_channels,
            9,
            stride=upscale_factor,
            padding=(10 - upscale_factor) // 2,
            output_padding=(upscale_factor + 1) % 2,
        )
        initialize(self, KAIMING)

    def extract_shared(self, lr: Tensor) -> Tensor:
        """The features that the first ``num_shared`` layers make.

        Args:
            lr (Tensor): RGB in [0, 1], (N, in_channels, h, w).

        Returns:
            Tensor: Features, (N, shared_channels, h, w).
        """
        return self.layers[: self.num_shared](lr)

    def reconstruct(self, shared: Tensor, lr: Tensor) -> Tensor:
        """What remains to be done after :meth:`extract_shared`.

        Args:
            shared (Tensor): Its features, (N, shared_channels, h, w).
            lr (Tensor): The image that they are of; not looked at here.

        Returns:
            Tensor: RGB in [0, 1], not clamped, (N, out_channels, h * s, w *
            s), with the upscale factor s.
        """
        return self.upsample(self.layers[self.num_shared :](shared))

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): RGB in [0, 1], (N, in_channels, h, w).

        Returns:
            Tensor: RGB in [0, 1], not clamped, (N, out_channels, h * s, w *
            s), with the upscale factor s.
        """
        return self.reconstruct(self.extract_shared(lr), lr)


def check_num_shared(network: str, num_shared: int, num_layers: int) -> None:
    """Raise ValueError unless the shared prefix is a part of the network."""
    if not 1 <= num_shared <= num_layers:
        raise ValueError(
            f'{network}: num_shared={num_shared}: expected 1 to {num_layers}, '
            'the layers that there are.'
        )
