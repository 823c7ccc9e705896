from typing import Dict, Optional, Sequence, Tuple

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from PIL import Image
from torch import Tensor

from sr4ir_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CQMix:
    """Cross-quality patch mix (SR4IR, section 3.2).

    Cuts each image of the batch into a grid and fills every cell with either
    its SR or its HR patch, so that the task network cannot lean on a single
    high-frequency feature. Runs on the batch, on its device.

    Args:
        grid (int): Cells per side: 8 (64 patches) in the paper for
            segmentation and detection, 4 (16 patches) for classification.
            Defaults to 8.
        sr_prob (float): Probability of an SR patch. Defaults to 0.5.
    """

    def __init__(self, grid: int = 8, sr_prob: float = 0.5) -> None:
        self.grid = grid
        self.sr_prob = sr_prob

    def draw_mask(self, sr: Tensor) -> Tensor:
        """Draw one mask per image: bool, (N, 1, grid, grid), True for SR."""
        probs = sr.new_full((len(sr), 1, self.grid, self.grid), self.sr_prob)
        return torch.bernoulli(probs).bool()

    def __call__(
        self, sr: Tensor, hr: Tensor, mask: Optional[Tensor] = None
    ) -> Tensor:
        """
        Args:
            sr (Tensor): In [0, 1], (N, C, H, W).
            hr (Tensor): In [0, 1], (N, C, H, W).
            mask (Tensor, optional): (N, 1, grid, grid), true for SR, to
                reproduce a result. Drawn at random by default.

        Returns:
            Tensor: In [0, 1], (N, C, H, W).
        """
        if mask is None:
            mask = self.draw_mask(sr)
        # `interpolate` knows no bool
        mask = F.interpolate(mask.float(), size=sr.shape[-2:], mode='nearest')
        return torch.where(mask.bool(), sr, hr)


@TRANSFORMS.register_module()
class EvaluateAtInputSize(BaseTransform):
    """Evaluate segmentation at the size that the network sees.

    mmseg enlarges predictions to ``ori_shape`` before it compares them with
    the unresized annotation. The authors resize both image and annotation
    (short side 520) and compare there. Put this after ``LoadAnnotations`` and
    ``Resize``; without an annotation (inference) it does nothing, so that
    predictions keep the size of the file.
    """

    def transform(self, results: dict) -> dict:
        if 'gt_seg_map' in results:
            results['ori_shape'] = results['gt_seg_map'].shape[:2]
        return results


@TRANSFORMS.register_module()
class VOCBoxesAsCOCO(BaseTransform):
    """Read the boxes of PASCAL VOC as the authors do, by way of COCO's format.

    VOC counts pixels from 1 and its last row and column are part of the box,
    which COCO writes as (xmin - 1, ymin - 1, xmax, ymax); mmdet's
    ``XMLDataset`` takes 1 from all four. It also ignores difficult objects in
    training and evaluation, which the authors treat like any other. Put this
    before ``LoadAnnotations``; without annotations (inference) it does
    nothing.
    """

    def transform(self, results: dict) -> dict:
        if 'instances' in results:
            results['instances'] = [
                self._convert(instance) for instance in results['instances']
            ]
        return results

    def _convert(self, instance: dict) -> dict:
        xmin, ymin, xmax, ymax = instance['bbox']
        return dict(
            instance, bbox=[xmin, ymin, xmax + 1, ymax + 1], ignore_flag=0
        )


@TRANSFORMS.register_module()
class LoadLRImageFromFile(BaseTransform):
    """Load the real LR image of a pair: ``lr``, uint8, (h, w, 3).

    Goes before :class:`PairedRandomCrop`. ``RandomFlip`` is repeated on LR by
    :class:`PackLR`. Other geometric augmentations do not know of LR. Where
    :class:`LoadRasterFromFile` has read a window of HR, that of LR is read.

    Args:
        replace (dict[str, str]): What to replace in the path of the HR image
            to get that of the LR image, e.g.
            ``{'/HR/': '/LR_x4/', '.png': 'x4.png'}``.
        loader (str): The transform that reads it; of rasters
            ``sr4ir_mm.LoadRasterFromFile``, and ``lr`` is what that one reads.
            Defaults to ``LoadImageFromFile``.
        **kwargs: Arguments of the loader, such as
            :class:`mmcv.transforms.LoadImageFromFile`.
    """

    def __init__(
        self,
        replace: Dict[str, str],
        loader: str = 'LoadImageFromFile',
        **kwargs,
    ) -> None:
        self.replace = replace
        self.load = TRANSFORMS.build(dict(type=loader, **kwargs))

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        for old, new in self.replace.items():
            if old not in path:
                raise ValueError(
                    f'LoadLRImageFromFile.replace: no {old!r} in {path}.'
                )
            path = path.replace(old, new)
        try:
            given = dict(img_path=path)
            if 'raster_window' in results:
                given['hr'] = results['raster_shape'], results['raster_window']
            lr = self.load(given)['img']
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'No LR image {path} for {results["img_path"]}: see '
                f'LoadLRImageFromFile.replace={dict(self.replace)}.'
            ) from error
        return dict(results, lr=lr, lr_path=path, lr_flip_direction=None)


def is_pair(hr: Sequence[int], lr: Sequence[int], scale: int) -> bool:
    """Whether LR, of this height and width, is 1/scale of HR, rounded down or
    up."""
    sides = zip(hr, lr)
    return all(h // scale <= low <= -(-h // scale) for h, low in sides)


def check_pair(results: dict, scale: int) -> None:
    """Raise ValueError unless LR of a pair is 1/scale the size of HR."""
    hr, lr = results['img'].shape[:2], results['lr'].shape[:2]
    if not is_pair(hr, lr, scale):
        files = [
            results.get(key, 'an image') for key in ('img_path', 'lr_path')
        ]
        raise ValueError(
            f'HR ({files[0]}) is {hr[1]}x{hr[0]} and LR ({files[1]}) '
            f'{lr[1]}x{lr[0]} pixels, which is not 1/{scale} of it (scale='
            f'{scale}): look at LoadLRImageFromFile.replace, or set the scale '
            'of the pairs.'
        )


@TRANSFORMS.register_module()
class PairedRandomCrop(BaseTransform):
    """Crop HR and LR (and segmentation maps) at the same place.

    The crop begins at a multiple of ``scale``, so that LR pixels stay whole.
    From a smaller image it takes what there is. Without boxes only.

    Args:
        crop_size (tuple[int, int]): Height and width of the HR crop,
            multiples of ``scale``.
        scale (int): Factor between LR and HR.
    """

    def __init__(self, crop_size: Tuple[int, int], scale: int) -> None:
        if any(side % scale for side in crop_size):
            raise ValueError(
                f'PairedRandomCrop.crop_size={crop_size}: expected multiples '
                f'of scale={scale}.'
            )
        self.crop_size = crop_size
        self.scale = scale

    def transform(self, results: dict) -> dict:
        if 'gt_bboxes' in results:
            raise ValueError('PairedRandomCrop does not crop boxes.')
        if results.get('flip_direction') != results.get('lr_flip_direction'):
            raise ValueError('PairedRandomCrop goes before RandomFlip.')
        scale = self.scale
        check_pair(results, scale)
        window = []
        for side, crop in zip(results['img'].shape, self.crop_size):
            size = min(crop, side) // scale
            start = np.random.randint(side // scale - size + 1)
            window.append(slice(start, start + size))
        hr_window = [slice(s.start * scale, s.stop * scale) for s in window]
        results['lr'] = results['lr'][tuple(window)]
        for key in ['img', *results.get('seg_fields', [])]:
            results[key] = results[key][tuple(hr_window)]
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class DegradeInPipeline(BaseTransform):
    """Make LR from HR by transforms, such as mmagic's random ones
    (Real-ESRGAN's blind degradation): ``lr``, (h, w, C), of the image's type.

    Goes last before :class:`PackLR`. The transforms find the image in ``lr``:
    float32, of the file's values, continued to multiples of ``scale``. Its
    final size they may leave to this one, which resizes it, and rounds it if
    the image is of whole numbers.

    Args:
        transforms (Sequence[dict]): Configs of transforms of ``lr``, e.g.
            ``dict(type='mmagic.RandomBlur', keys=['lr'], params=...)``.
        scale (int): Factor between LR and HR.
        interpolation (str): Of the final resizing, see
            :func:`mmcv.imresize`. Defaults to ``bicubic``.
    """

    def __init__(
        self,
        transforms: Sequence[dict],
        scale: int,
        interpolation: str = 'bicubic',
    ) -> None:
        self.transforms = [TRANSFORMS.build(cfg) for cfg in transforms]
        self.scale = scale
        self.interpolation = interpolation

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        margins = (0, -height % self.scale), (0, -width % self.scale), (0, 0)
        image = np.pad(results['img'], margins, mode='edge')
        height, width = (side // self.scale for side in image.shape[:2])
        degraded = dict(lr=image.astype(np.float32))
        for transform in self.transforms:
            degraded = transform(degraded)
        image = np.asarray(degraded['lr'], np.float32)
        if image.shape[:2] != (height, width):
            image = mmcv.imresize(
                image, (width, height), interpolation=self.interpolation
            )
        dtype = results['img'].dtype
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            image = image.round().clip(limits.min, limits.max)
        lr = image.astype(dtype)
        flip = results.get('flip_direction')  # already LR's, too
        return dict(results, lr=lr, lr_flip_direction=flip)


@TRANSFORMS.register_module()
class PackLR(BaseTransform):
    """Pack as the toolbox does, and LR with it.

    The data sample gets ``lr``, (C, h, w), in the order of channels in which
    it was loaded. The model then takes it for LR, in training and in testing,
    instead of degrading HR. It is flipped as HR was since it was loaded, by
    one ``RandomFlip`` at most.

    Args:
        pack (dict): The toolbox's own, e.g. ``dict(type='PackSegInputs')``.
    """

    def __init__(self, pack: dict) -> None:
        self.pack = TRANSFORMS.build(pack)

    def transform(self, results: dict) -> dict:
        lr = results['lr']
        flip = results.get('flip_direction')
        if flip != results['lr_flip_direction']:
            lr = mmcv.imflip(lr, flip)
            shape = results['img'].shape
            if shape[0] % lr.shape[0] or shape[1] % lr.shape[1]:
                raise ValueError(
                    f'{results.get("img_path")}: HR {shape[:2]} is no '
                    f'multiple of LR {lr.shape[:2]}, so that flipping shifts '
                    'them. Crop HR, or put PairedRandomCrop before '
                    'RandomFlip.'
                )
        packed = self.pack(results)
        lr = np.ascontiguousarray(np.atleast_3d(lr).transpose(2, 0, 1))
        packed['data_samples'].set_data(dict(lr=torch.from_numpy(lr)))
        return packed


@TRANSFORMS.register_module()
class LoadAnnotationsByValue(BaseTransform):
    """Load a mask of any ids or colours: ``gt_seg_map``, uint8, (h, w).

    In the place of mmseg's ``LoadAnnotations``, which needs ids 0, 1, 2 ... in
    masks of one band. What is no class becomes 255, which is ignored.

    Args:
        values (Sequence): Of each class in its order: its id in the mask, or
            its colour, three numbers (RGB).
    """

    def __init__(self, values: Sequence) -> None:
        self.codes = np.array([value_code(value) for value in values])
        self.colors = any(np.ndim(value) for value in values)
        self.order = np.argsort(self.codes)

    def transform(self, results: dict) -> dict:
        codes = read_values(results['seg_map_path'], self.colors)
        ordered = self.codes[self.order]
        found = np.searchsorted(ordered, codes).clip(max=len(ordered) - 1)
        known = ordered[found] == codes
        mask = np.where(known, self.order[found], 255).astype(np.uint8)
        fields = [*results.get('seg_fields', []), 'gt_seg_map']
        return dict(results, gt_seg_map=mask, seg_fields=fields)


def value_code(value) -> int:
    """A value of a mask as one number: an id, or a colour's 24 bits."""
    if not np.ndim(value):
        return int(value)
    red, green, blue = value
    return int(red) << 16 | int(green) << 8 | int(blue)


def read_values(path: str, colors: bool) -> np.ndarray:
    """A mask's values by pixel, (h, w): ids, or codes of colours.

    Args:
        path (str): The file.
        colors (bool): Whether its colours count.
    """
    with Image.open(path) as image:
        if colors:
            rgb = np.asarray(image.convert('RGB')).astype(np.int32)
            return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        if image.mode == '1':
            image = image.convert('L')
        mask = np.asarray(image)
    if mask.ndim != 2:
        raise ValueError(
            f'{path}: a mask of {mask.shape[2]} bands has colours and no ids: '
            'give LoadAnnotationsByValue.values as colours.'
        )
    return mask.astype(np.int32)
