"""Random images with random labels, as a data loader of a toolbox gives them.

For measurements and checks of networks whose results do not matter.
"""

from typing import Tuple

import torch
from mmengine.registry import DATASETS
from mmengine.structures import InstanceData, PixelData
from torch.utils.data import Dataset


def make_sample(scope: str, size: Tuple[int, int], num_classes: int):
    """A data sample with random labels.

    Args:
        scope (str): The toolbox: ``mmseg``, ``mmdet`` or ``mmpretrain``.
        size (tuple[int, int]): Height and width of the image.
        num_classes (int): Labels are below it.
    """
    height, width = size
    metainfo = dict(img_shape=size, ori_shape=size)
    if scope == 'mmseg':
        from mmseg.structures import SegDataSample

        mask = torch.randint(num_classes, (1, height, width))
        return SegDataSample(
            metainfo=metainfo, gt_sem_seg=PixelData(data=mask)
        )
    if scope == 'mmdet':
        from mmdet.structures import DetDataSample

        corners = torch.rand(3, 2, 2).sort(dim=1).values  # (top left, ...)
        boxes = corners.flatten(1) * torch.tensor([width, height] * 2)
        instances = InstanceData(
            bboxes=boxes, labels=torch.randint(num_classes, (len(boxes),))
        )
        return DetDataSample(
            metainfo=dict(metainfo, scale_factor=(1.0, 1.0)),
            gt_instances=instances,
            ignored_instances=instances[:0],
        )
    from mmpretrain.structures import DataSample

    label = torch.randint(num_classes, (1,))
    return DataSample(metainfo=metainfo).set_gt_label(label)


@DATASETS.register_module()
class SyntheticDataset(Dataset):
    """The same images in every run.

    Args:
        scope (str): The toolbox.
        size (tuple[int, int]): Height and width.
        num_classes (int): Labels are below it.
        length (int): How many images. Defaults to 64.
    """

    def __init__(
        self,
        scope: str,
        size: Tuple[int, int],
        num_classes: int,
        length: int = 64,
    ) -> None:
        self.scope = scope
        self.size = tuple(size)
        self.num_classes = num_classes
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        """``inputs``: uint8, BGR, (3, H, W)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(index)
            return dict(
                inputs=torch.randint(256, (3, *self.size), dtype=torch.uint8),
                data_samples=make_sample(
                    self.scope, self.size, self.num_classes
                ),
            )
