from collections import OrderedDict
from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sr4ir_mm.registry import MODELS

from .edsr import enlargements
from .edsr_files import DIV2K_MEAN

_UPSAMPLERS = ('pixelshuffle', 'pixelshuffledirect', 'nearest+conv', '', None)
_WIDTH = 64  # channels of the reconstruction
_HIDDEN = -100.0  # is added where a window does not see


class WindowAttention(nn.Module):
    """Attention in windows by PyTorch's fused one, exact under autocast.

    Args:
        dim (int): Channels.
        window_size (int): Side of a window.
        num_heads (int): Number of heads.
        qkv_bias (bool): Whether queries, keys and values have a bias.
        qk_scale (float, optional): Factor of their products, if it is not one
            over the square root of a head's channels.
        attn_drop (float): Rate of dropout of weights.
        proj_drop (float): Rate of dropout of results.
    """

    def __init__(
        self,
        dim: int,
        window_size: int,
        num_heads: int,
        qkv_bias: bool,
        qk_scale: Optional[float],
        attn_drop: float,
        proj_drop: float,
    ) -> None:
        super().__init__()
        self.window_size, self.num_heads = window_size, num_heads
        self.scale = qk_scale  # None is PyTorch's own
        table = torch.zeros((2 * window_size - 1) ** 2, num_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        self.register_buffer(
            'relative_position_index', _relative_positions(window_size)
        )
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.attn_drop = attn_drop
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)
        trunc_normal_(self.relative_position_bias_table, std=0.02)

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
                windows = mask.shape[0]
                bias = (bias + mask[:, None].to(bias)).flatten(0, 1)
            # windows as if they were heads: they have masks of their own
            q, k, v = (
                qkv.to(table.dtype)
                .permute(2, 0, 3, 1, 4)
                .reshape(3, num // windows, windows * heads, length, -1)
            )
            dropout = self.attn_drop if self.training else 0.0
            x = F.scaled_dot_product_attention(
                q, k, v, bias[None], dropout, scale=self.scale
            )
            x = x.reshape(num, heads, length, -1).transpose(1, 2)
        return self.proj_drop(self.proj(x.reshape(num, length, channels)))


class _Block(nn.Module):
    """Attention in windows, which are shifted if there is a mask, and MLP."""

    def __init__(
        self,
        attn: WindowAttention,
        mask: Optional[Tensor],
        norm_layer: type,
        hidden: int,
        drop: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        dim = attn.proj.in_features
        # A file has it, for images of one size. It is made for all instead.
        self.register_buffer('attn_mask', mask)
        self.drop_path = drop_path
        self.norm1 = norm_layer(dim)
        self.attn = attn
        self.norm2 = norm_layer(dim)
        layers = OrderedDict(
            fc1=nn.Linear(dim, hidden),
            act=nn.GELU(),
            drop1=nn.Dropout(drop),
            fc2=nn.Linear(hidden, dim),
            drop2=nn.Dropout(drop),
        )
        self.mlp = nn.Sequential(layers)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Features, (N, h, w, C) -> the same shape."""
        x = x + self._drop_paths(self._attend(self.norm1(x), mask))
        return x + self._drop_paths(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        side = self.attn.window_size
        if self.attn_mask is None:
            return _join(self.attn(_cut(x, side)), side, x.shape)
        shift = side // 2
        x = x.roll((-shift, -shift), (1, 2))
        x = _join(self.attn(_cut(x, side), mask), side, x.shape)
        return x.roll((shift, shift), (1, 2))

    def _drop_paths(self, x: Tensor) -> Tensor:
        """Nothing of some images, in training, and more of the others."""
        if not self.training or not self.drop_path:
            return x
        keep = 1 - self.drop_path
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(keep).div_(keep)


class _Layer(nn.Module):
    """Blocks and a convolution, whose result is added."""

    def __init__(self, blocks: nn.ModuleList, conv: nn.Module) -> None:
        super().__init__()
        self.residual_group = nn.ModuleDict(dict(blocks=blocks))
        self.conv = conv

    def forward(self, x: Tensor, mask: Tensor, with_cp: bool) -> Tensor:
        """Features, (N, h, w, C) -> the same shape."""
        deep = x
        for block in self.residual_group['blocks']:
            if with_cp and torch.is_grad_enabled():
                deep = checkpoint(block, deep, mask, use_reentrant=False)
            else:
                deep = block(deep, mask)
        return self.conv(deep.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + x


@MODELS.register_module()
class SwinIRNet(BaseModule):
    """SwinIR, with PyTorch's fused attention.

    Liang et al., "SwinIR: image restoration using Swin Transformer" (ICCVW
    2021, https://arxiv.org/abs/2108.10257). Arguments, weights, their names
    and order, the first random ones, results and gradients (up to rounding)
    are those of mmagic 1.2.0, whose weights have the authors' names: files of
    each fit. ``mmagic.SwinIRNet`` in a config is this class, too, whether
    mmagic is installed or not. (spandrel's class is
    not the base: it needs Python 3.10, and a second to be imported.)

    Args:
        img_size (int | tuple[int]): Height and width, a multiple of
            ``window_size``, for which files have masks, and which images have
            to have if ``ape``. Others may be of any size. Smaller than a
            window, it is that of windows. Defaults to 64.
        patch_size (int | tuple[int]): ``img_size`` is divided by it. Defaults
            to 1.
        in_chans (int): Channels of the LR and SR image. From RGB, DIV2K's mean
            is subtracted; from others nothing. Defaults to 3.
        embed_dim (int): Channels of features. Defaults to 96.
        depths (Sequence[int]): Number of blocks of each layer.
        num_heads (Sequence[int]): Of attention in each layer.
        window_size (int): Side of a window in pixels. Defaults to 7.
        mlp_ratio (float): How many times wider the middle of an MLP is.
            Defaults to 4.
        qkv_bias (bool): Whether queries, keys and values have a bias. Defaults
            to True.
        qk_scale (float, optional): Factor of their products. Defaults to one
            over the square root of a head's channels.
        drop_rate (float): Rate of dropout of features. Defaults to 0.
        attn_drop_rate (float): And of weights of attention. Defaults to 0.
        drop_path_rate (float): Share of the images for which the last block
            does nothing in training; for those before, it is smaller. Defaults
            to 0.1.
        norm_layer (type): Defaults to ``nn.LayerNorm``.
        ape (bool): Whether something learnt is added at each position.
            Defaults to False.
        patch_norm (bool): Whether features are normalised before the first
            layer. Defaults to True.
        use_checkpoint (bool): Whether the backward pass computes the inside of
            blocks once more. Defaults to False.
        upscale (int): Defaults to 2.
        img_range (float): The network sees images times this. Defaults to 1.
        upsampler (str, optional): ``'pixelshuffle'`` (``upscale`` is 3 or a
            power of 2), ``'pixelshuffledirect'`` (any), ``'nearest+conv'`` (a
            power of 2), or none (1). Defaults to ''.
        resi_connection (str): ``'1conv'``, or ``'3conv'``, of fewer
            parameters. Defaults to ``'1conv'``.
    """

    def __init__(
        self,
        img_size: Union[int, Tuple[int, int]] = 64,
        patch_size: Union[int, Tuple[int, int]] = 1,
        in_chans: int = 3,
        embed_dim: int = 96,
        depths: Sequence[int] = (6, 6, 6, 6),
        num_heads: Sequence[int] = (6, 6, 6, 6),
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: Optional[float] = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        norm_layer: type = nn.LayerNorm,
        ape: bool = False,
        patch_norm: bool = True,
        use_checkpoint: bool = False,
        upscale: int = 2,
        img_range: float = 1.0,
        upsampler: Optional[str] = '',
        resi_connection: str = '1conv',
    ) -> None:
        super().__init__()
        self.window_size, self.use_checkpoint = window_size, use_checkpoint
        self.img_range, self.upscale = img_range, upscale
        self.upsampler = upsampler
        mean = DIV2K_MEAN if in_chans == len(DIV2K_MEAN) else [0.0]
        mean = torch.tensor(mean).view(1, -1, 1, 1)
        self.register_buffer('mean', mean, persistent=False)
        size = _size(img_size, patch_size, window_size)
        window = min(window_size, *size)
        mask = _seams(*size, window) if window < min(size) else None

        self.conv_first = nn.Conv2d(in_chans, embed_dim, 3, padding=1)
        self.patch_embed = nn.ModuleDict()
        if patch_norm:
            self.patch_embed['norm'] = norm_layer(embed_dim)
        self.absolute_pos_embed = None
        if ape:
            table = torch.zeros(1, size[0] * size[1], embed_dim)
            self.absolute_pos_embed = nn.Parameter(table)
            trunc_normal_(self.absolute_pos_embed, std=0.02)
        self.pos_drop = nn.Dropout(drop_rate)
        rates = iter(torch.linspace(0, drop_path_rate, sum(depths)).tolist())
        self.layers = nn.ModuleList()
        for depth, heads in zip(depths, num_heads):
            blocks = nn.ModuleList()
            for number in range(depth):
                attention = WindowAttention(
                    embed_dim,
                    window,
                    heads,
                    qkv_bias,
                    qk_scale,
                    attn_drop_rate,
                    drop_rate,
                )
                block = _Block(
                    attention,
                    mask if number % 2 else None,
                    norm_layer,
                    int(embed_dim * mlp_ratio),
                    drop_rate,
                    next(rates),
                )
                blocks.append(block)
            conv = _convolve(embed_dim, resi_connection)
            self.layers.append(_Layer(blocks, conv))
        self.norm = norm_layer(embed_dim)
        self.conv_after_body = _convolve(embed_dim, resi_connection)
        self._add_reconstruction(embed_dim, in_chans)
        self.apply(_initialize)

    def _add_reconstruction(self, width: int, out_channels: int) -> None:
        scale, kind = self.upscale, self.upsampler
        if kind not in _UPSAMPLERS:
            raise ValueError(
                f'SwinIRNet: upsampler={kind!r}: expected one of '
                f'{", ".join(map(repr, _UPSAMPLERS))}.'
            )
        if kind == 'pixelshuffledirect':
            self.upsample = nn.Sequential(
                nn.Conv2d(width, out_channels * scale**2, 3, padding=1),
                nn.PixelShuffle(scale),
            )
            return
        if kind:
            conv = nn.Conv2d(width, _WIDTH, 3, padding=1)
            self.conv_before_upsample = nn.Sequential(
                conv, nn.LeakyReLU(inplace=True)
            )
            width = _WIDTH
        if kind == 'pixelshuffle':
            self.upsample = nn.Sequential()
            for factor in enlargements(scale):
                wide = width * factor**2
                self.upsample.append(nn.Conv2d(width, wide, 3, padding=1))
                self.upsample.append(nn.PixelShuffle(factor))
        elif kind:
            for number, _ in enumerate(enlargements(scale), 1):
                conv = nn.Conv2d(width, width, 3, padding=1)
                self.add_module(f'conv_up{number}', conv)
            self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """
        Args:
            lr (Tensor): Images in [0, 1], (N, C, h, w), whose sides are longer
                than what they lack of a multiple of ``window_size``.

        Returns:
            Tensor: Images around [0, 1], (N, C, h * upscale, w * upscale).
        """
        height, width = lr.shape[2:]
        rest = (-width % self.window_size, -height % self.window_size)
        x = F.pad(lr, (0, rest[0], 0, rest[1]), mode='reflect')
        mean = self.mean.to(x)
        x = (x - mean) * self.img_range
        shallow = self.conv_first(x)
        deep = self.conv_after_body(self._deep(shallow)) + shallow
        sr = (
            self._reconstruct(deep)
            if self.upsampler
            else x + self.conv_last(deep)
        )
        sr = sr / self.img_range + mean
        return sr[..., : height * self.upscale, : width * self.upscale]

    def _deep(self, x: Tensor) -> Tensor:
        """Features, (N, C, h, w) -> the same shape."""
        x = x.permute(0, 2, 3, 1)
        if self.patch_embed:
            x = self.patch_embed['norm'](x)
        if self.absolute_pos_embed is not None:
            x = x + self.absolute_pos_embed.view(1, *x.shape[1:])
        x = self.pos_drop(x)
        block = self.layers[0].residual_group['blocks'][0]
        mask = _seams(*x.shape[1:3], block.attn.window_size, x.device)
        for layer in self.layers:
            x = layer(x, mask, self.use_checkpoint)
        return self.norm(x).permute(0, 3, 1, 2)

    def _reconstruct(self, deep: Tensor) -> Tensor:
        """Features, (N, C, h, w), to an image, larger by the scale."""
        if self.upsampler == 'pixelshuffledirect':
            return self.upsample(deep)
        x = self.conv_before_upsample(deep)
        if self.upsampler == 'pixelshuffle':
            return self.conv_last(self.upsample(x))
        for number, _ in enumerate(enlargements(self.upscale), 1):
            x = F.interpolate(x, scale_factor=2, mode='nearest')
            x = F.leaky_relu(getattr(self, f'conv_up{number}')(x), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _size(
    img_size: Union[int, Sequence[int]],
    patch_size: Union[int, Sequence[int]],
    window: int,
) -> Tuple[int, ...]:
    """Of the images that masks in a file are for."""
    both = (
        x if isinstance(x, Sequence) else (x, x)
        for x in (img_size, patch_size)
    )
    size = tuple(side // patch for side, patch in zip(*both))
    whole = window % min(size) == 0
    if window < min(size):
        whole = not any(side % window for side in size)
    if not whole:
        raise ValueError(
            f'SwinIRNet: img_size={img_size}, window_size={window}: expected '
            'a multiple of the window, or a part of it.'
        )
    return size


def _convolve(channels: int, kind: str) -> nn.Module:
    """What stands before a sum, by the name of a ``resi_connection``."""
    if kind == '1conv':
        return nn.Conv2d(channels, channels, 3, padding=1)
    if kind != '3conv':
        raise ValueError(
            f"SwinIRNet: resi_connection={kind!r}: expected '1conv' or "
            "'3conv'."
        )
    narrow = channels // 4
    return nn.Sequential(
        nn.Conv2d(channels, narrow, 3, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(narrow, narrow, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(narrow, channels, 3, padding=1),
    )


def _relative_positions(side: int) -> Tensor:
    """Which row of the table tells how a pixel of a window sees another,
    (side * side, side * side)."""
    place = torch.arange(side)
    rows, columns = place.repeat_interleave(side), place.repeat(side)
    down, right = (x[:, None] - x + side - 1 for x in (rows, columns))
    return down * (2 * side - 1) + right


def _cut(x: Tensor, side: int) -> Tensor:
    """Maps, (N, h, w, C), to their windows, (N * windows, side * side, C)."""
    num, height, width, channels = x.shape
    x = x.reshape(num, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def _join(windows: Tensor, side: int, size: Sequence[int]) -> Tensor:
    """Windows to the maps that they are of, of ``size``, (N, h, w, C)."""
    num, height, width, channels = size
    x = windows.view(num, height // side, width // side, side, side, channels)
    return x.transpose(2, 3).reshape(num, height, width, channels)


def _seams(
    height: int, width: int, side: int, device: Optional[torch.device] = None
) -> Tensor:
    """0, and a large negative value where windows, shifted by half a side,
    hold what is at the other end of the image, (windows, side * side, side *
    side)."""

    def zones(length: int) -> Tensor:
        place = torch.arange(length, device=device)
        last = (place >= length - side).long()
        return last + (place >= length - side // 2).long()

    image = 3 * zones(height)[:, None] + zones(width)
    windows = _cut(image[None, ..., None], side)
    return (windows != windows.transpose(1, 2)).float() * _HIDDEN
