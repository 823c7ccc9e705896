from typing import Callable

from torch import Tensor

# LR pixels round a tile that the network sees, too. EDSR-baseline looks 36 LR
# pixels far: its tiles equal the untiled output. A multiple of SwinIR's
# window of 8.
MARGIN = 40


def super_resolve_in_tiles(
    sr_net: Callable[[Tensor], Tensor],
    lr: Tensor,
    scale: int,
    tile: int,
    window: int = 1,
    margin: int = MARGIN,
) -> Tensor:
    """Super-resolve images piece by piece, in the memory of a piece.

    The network sees each tile with a margin of the image round it, of which
    the output is thrown away. What is left equals the untiled output if the
    network looks no farther than the margin.

    Args:
        sr_net (Callable): RGB [0, 1] to RGB [0, 1], in eval mode.
        lr (Tensor): RGB in [0, 1], (N, 3, h, w).
        scale (int): Factor between LR and SR.
        tile (int): Side of a tile, in LR pixels.
        window (int): The network cuts the image into windows of this side,
            which must lie in the pieces as they lie in the image: margins and
            tiles become multiples of it. Defaults to 1.
        margin (int): In LR pixels. Defaults to :data:`MARGIN`.

    Returns:
        Tensor: RGB, around [0, 1], (N, 3, h * scale, w * scale).
    """
    margin, tile = (-(-side // window) * window for side in (margin, tile))
    height, width = lr.shape[-2:]
    sr = lr.new_empty(*lr.shape[:-2], height * scale, width * scale)
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            top, left = max(y - margin, 0), max(x - margin, 0)
            piece = sr_net(
                lr[..., top : y + tile + margin, left : x + tile + margin]
            )
            # both slices end where the image ends
            sr[..., _scaled(y, tile, scale), _scaled(x, tile, scale)] = piece[
                ...,
                _scaled(y - top, tile, scale),
                _scaled(x - left, tile, scale),
            ]
    return sr


def _scaled(start: int, size: int, scale: int) -> slice:
    return slice(start * scale, (start + size) * scale)
