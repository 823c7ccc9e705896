from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sr4ir_mm.datasets.transforms import is_pair
from sr4ir_mm.utils.bands import PICTURES, SWAPS, Bands

Size = Tuple[int, int]


def swaps_channels(data_preprocessor: Optional[dict]) -> bool:
    """Whether a data preprocessor of this config turns BGR into RGB, or the
    other way round."""
    return any((data_preprocessor or {}).get(key, False) for key in SWAPS)


def fit_within(size: Size, limits: Size) -> Size:
    """The largest size, of the same shape, within a long and a short side.
    Rounded down, as in torchvision's detectors."""
    factor = min(max(limits) / max(size), min(limits) / min(size))
    height, width = (max(1, int(side * factor)) for side in size)
    return height, width


class ImageSpace(nn.Module):
    """The two-way map between a task model's input and images in [0, 1].

    A task model sees images as its own data preprocessor leaves them:
    normalised, in the channel order it was trained with, padded to a batch,
    and perhaps enlarged. SR networks, degradations and image metrics see
    images in [0, 1], RGB or the bands of the file, at the size of the
    dataset's images. This module is the data preprocessor of an
    :class:`SRTaskModel`, and its inverse.

    Args:
        data_preprocessor (nn.Module): The task model's own data preprocessor.
        is_rgb (bool): Whether it leaves the channels in RGB order, or bands in
            theirs (BGR otherwise).
        padding (str): How an image is continued to the size of its batch and
            to a multiple of the scale: ``replicate`` or ``reflect`` (which
            replicates where an image is too small for it).
            Defaults to ``replicate``.
        resize (tuple[int, int], optional): The task model sees each image at
            the largest size, of the same shape, within this (long side, short
            side). Rounded down, as in torchvision's detectors.
            Defaults to None: at the size of the dataset's image.
        bands (Bands): Of the images. Defaults to RGB of 8 bits.
        loads_rgb (bool): Whether LR images come as RGB, or bands in their
            order. Defaults to False: as BGR.
    """

    def __init__(
        self,
        data_preprocessor: nn.Module,
        is_rgb: bool,
        padding: str = 'replicate',
        resize: Optional[Size] = None,
        bands: Bands = PICTURES,
        loads_rgb: bool = False,
    ) -> None:
        super().__init__()
        self.data_preprocessor = data_preprocessor
        self.is_rgb = is_rgb
        self.padding = padding
        self.resize = resize
        self.bands = bands
        self.loads_rgb = loads_rgb

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a batch as the task model does.

        Args:
            data (dict): A batch of the data loader.
            training (bool): Whether to apply batch augmentations.

        Returns:
            dict: Keyword arguments of :meth:`SRTaskModel.forward`.

        Raises:
            ValueError: If batch augmentations would not see the LR images of
                the pipeline, or the batch has several branches.
        """
        if isinstance(data['inputs'], dict):
            raise ValueError(
                f'The batch has the branches {", ".join(data["inputs"])}, as '
                'in semi-supervised training: phases train on one.'
            )
        samples = data.get('data_samples') or []
        has_lr = any('lr' in sample for sample in samples)
        augments = getattr(self.data_preprocessor, 'batch_augments', None)
        if training and has_lr and augments:
            raise ValueError(
                'data_preprocessor.batch_augments change HR images, but not '
                'the LR images that PackLR packed: leave them out.'
            )
        for image, sample in zip(data['inputs'], samples):
            # torchvision's transforms in mmpretrain leave it as it was
            sample.set_metainfo(dict(img_shape=tuple(image.shape[-2:])))
        return self.data_preprocessor(data, training)

    @property
    def batch_augments(self):
        """The task model's, for hooks that switch them."""
        return self.data_preprocessor.batch_augments

    @batch_augments.setter
    def batch_augments(self, value) -> None:
        self.data_preprocessor.batch_augments = value

    def to_image(
        self, inputs: Tensor, sizes: Sequence[Size], multiple: int
    ) -> Tensor:
        """From what the data preprocessor made to images.

        Args:
            inputs (Tensor): Task-normalised, (N, C, H, W).
            sizes (Sequence[tuple]): Height and width of each image in it.
            multiple (int): Pad both sides to a multiple of this.

        Returns:
            Tensor: In [0, 1], (N, C, H', W'), of the smallest size that holds
            every image; each is continued beyond its own size.

        Raises:
            ValueError: If they have other bands than ``model.bands`` says.
        """
        if inputs.shape[1] != self.bands.number:
            raise ValueError(
                f'The images have {inputs.shape[1]} channels, and '
                f'model.bands.number={self.bands.number}: set it (not set, '
                "images are RGB, loaded with `color_type='color'`)."
            )
        if self._normalizes:
            pre = self.data_preprocessor
            inputs = inputs * pre.std + pre.mean
        images = self.bands.to_unit(self._swap(inputs))
        height, width = (
            -(-max(sides) // multiple) * multiple for sides in zip(*sizes)
        )
        if set(sizes) == {(height, width)}:
            return images[..., :height, :width]
        return torch.stack(
            [
                self._continue(image[:, :h, :w], height - h, width - w)
                for image, (h, w) in zip(images, sizes)
            ]
        )

    def stack_lr(
        self, samples: Sequence, sizes: Sequence[Size], scale: int
    ) -> Tensor:
        """The LR images that came with a batch.

        Args:
            samples (Sequence[BaseDataElement]): Each with ``lr``, as it was
                loaded, (C, h / scale, w / scale), rounded up, or, as some data
                sets are, down, so that HR is a little larger.
            sizes (Sequence[tuple]): Height h and width w of each HR image.
            scale (int): Factor between LR and HR.

        Returns:
            Tensor: In [0, 1], (N, C, H', W'), each image continued beyond its
            own size.
        """
        lr_sizes = [(-(-h // scale), -(-w // scale)) for h, w in sizes]
        height, width = (max(sides) for sides in zip(*lr_sizes))
        images = []
        for sample, size in zip(samples, sizes):
            channels, h, w = sample.lr.shape
            if channels != self.bands.number or not is_pair(
                size, (h, w), scale
            ):
                raise ValueError(
                    f'The LR image of {sample.metainfo.get("img_path")} has '
                    f'the shape {tuple(sample.lr.shape)}, and HR {size}, but '
                    f'model.scale={scale}: a paired image must go through the '
                    'same crops and resizes as HR.'
                )
            image = sample.lr if self.loads_rgb else sample.lr.flip(0)
            image = self.bands.to_unit(image.float())
            images.append(self._continue(image, height - h, width - w))
        return torch.stack(images)

    def from_image(
        self,
        image: Tensor,
        sizes: Sequence[Size],
        canvas: Tensor,
        shape: Optional[Size] = None,
    ) -> Tensor:
        """From images to what the task model sees.

        Args:
            image (Tensor): In [0, 1], (N, C, H', W').
            sizes (Sequence[tuple]): Height and width of each image in it.
            canvas (Tensor): What the data preprocessor made of the images,
                (N, C, H, W): outside of them, its padding stays.
            shape (tuple, optional): Height and width to return, if there is a
                ``resize``. Defaults to what :meth:`task_shape` says.

        Returns:
            Tensor: Task-normalised, (N, C, H, W); of another size if there is
            a ``resize``.
        """
        inputs = self.normalize(image)
        if self.resize is not None:
            return self.enlarge(inputs, sizes, shape)
        height, width = canvas.shape[-2:]
        if set(sizes) == {(height, width)}:
            return inputs[..., :height, :width]
        rows, cols = (
            torch.arange(side, device=canvas.device)
            for side in canvas.shape[-2:]
        )
        inside = torch.stack(
            [(rows < h)[:, None] & (cols < w) for h, w in sizes]
        )
        low, right = height - inputs.shape[-2], width - inputs.shape[-1]
        return torch.where(
            inside[:, None], F.pad(inputs, (0, right, 0, low)), canvas
        )

    def normalize(self, image: Tensor) -> Tensor:
        """In [0, 1] -> task-normalised, (N, C, H, W)."""
        inputs = self._swap(self.bands.from_unit(image))
        if self._normalizes:
            pre = self.data_preprocessor
            inputs = (inputs - pre.mean) / pre.std
        return inputs

    def task_sizes(self, sizes: Sequence[Size]) -> List[Size]:
        """Height and width at which the task model sees images of these."""
        if self.resize is None:
            return list(sizes)
        return [fit_within(size, self.resize) for size in sizes]

    def task_shape(self, sizes: Sequence[Size], canvas_shape: Size) -> Size:
        """Height and width of what :meth:`from_image` returns."""
        if self.resize is None:
            return canvas_shape
        divisor = self.data_preprocessor.pad_size_divisor
        return tuple(
            -(-max(sides) // divisor) * divisor
            for sides in zip(*self.task_sizes(sizes))
        )

    def enlarge(
        self,
        inputs: Tensor,
        sizes: Sequence[Size],
        shape: Optional[Size] = None,
    ) -> Tensor:
        """Task-normalised images, (N, C, H, W), of these sizes -> the same
        within ``resize``, padded to ``shape``, or to :meth:`task_shape`."""
        height, width = shape or self.task_shape(sizes, inputs.shape[2:])
        enlarged = []
        for image, (h, w) in zip(inputs, sizes):
            size = fit_within((h, w), self.resize)
            image = F.interpolate(
                image[None, :, :h, :w],
                size=size,
                mode='bilinear',
                align_corners=False,
            )[0]
            padding = (0, width - size[1], 0, height - size[0])
            value = getattr(self.data_preprocessor, 'pad_value', 0)
            enlarged.append(F.pad(image, padding, value=value))
        return torch.stack(enlarged)

    def _continue(self, image: Tensor, low: int, right: int) -> Tensor:
        """(C, h, w) -> (C, h + low, w + right)"""
        fits = low < image.shape[1] and right < image.shape[2]
        mode = self.padding if fits else 'replicate'
        return F.pad(image, (0, right, 0, low), mode=mode)

    @property
    def device(self) -> torch.device:
        """That of the task model's data preprocessor; mmdet asks for it."""
        return self.data_preprocessor.device

    @property
    def _normalizes(self) -> bool:
        return getattr(self.data_preprocessor, '_enable_normalize', False)

    def _swap(self, image: Tensor) -> Tensor:
        return image if self.is_rgb else image.flip(1)
