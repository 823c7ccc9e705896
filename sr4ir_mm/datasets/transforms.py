from typing import Optional

import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
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
            sr (Tensor): RGB in [0, 1], (N, 3, H, W).
            hr (Tensor): RGB in [0, 1], (N, 3, H, W).
            mask (Tensor, optional): (N, 1, grid, grid), true for SR, to
                reproduce a result. Drawn at random by default.

        Returns:
            Tensor: RGB in [0, 1], (N, 3, H, W).
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
