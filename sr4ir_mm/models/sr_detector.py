from typing import Optional

import numpy as np
import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData

from sr4ir_mm.registry import MODELS

from .image_space import Size
from .sr_task_model import SRTaskModel
from .views import Views


@MODELS.register_module()
class SRDetector(SRTaskModel):
    """A super-resolution network in front of any mmdet detector.

    Args:
        resize (tuple[int, int], optional): Long and short side within which
            the detector sees the images, after SR, see :class:`ImageSpace`.
            In the paper HR is the image at its native size: there is no
            ``Resize`` in the pipelines, but ``resize=(1333, 800)`` here.
        backbone (dict, optional): Ignored: mmdet's ``init_detector`` reads
            ``model.backbone`` in any config.
        **kwargs: See :class:`SRTaskModel`.
    """

    toolbox = 'mmdet'
    task_model_base = 'BaseDetector'
    padding = 'reflect'

    def __init__(
        self,
        resize: Optional[Size] = None,
        backbone: Optional[dict] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if resize is not None and np.shape(resize) != (2,):
            raise ValueError(
                f'model.resize={resize!r}: expected long and short side, as '
                'in (1333, 800).'
            )
        self.image_space.resize = resize

    @property
    def bbox_head(self):
        """The task model's, which hooks of mmdet look for."""
        return self.task_model.bbox_head

    def task_samples(self, views: Views) -> Optional[list]:
        """See :meth:`SRTaskModel.task_samples`. A copy each time: mmdet's
        heads write to what they are given, and ask for a ``scale_factor``."""
        samples = super().task_samples(views)
        return samples and [_copy(sample) for sample in samples]

    def rescale_sample(self, sample, size: Size, batch_shape: Size):
        """See :meth:`SRTaskModel.rescale_sample`. Boxes and
        masks too."""
        from mmdet.structures.bbox import scale_boxes

        height, width = sample.img_shape
        factors = size[1] / width, size[0] / height
        for field in ('gt_instances', 'ignored_instances'):
            instances = sample.get(field, {})
            if 'bboxes' in instances:  # there are none without annotations
                if 'pairwise_masks' in instances:
                    raise ValueError(
                        'model.resize: BoxInst makes labels of the colours '
                        'of images before they are resized. Leave `resize` '
                        'out, and let the pipelines resize.'
                    )
                instances = instances.clone()
                instances.bboxes = scale_boxes(instances.bboxes, factors)
                if 'masks' in instances:
                    instances.masks = _resize_masks(
                        instances.masks, (height, width), size, batch_shape
                    )
                sample.set_data({field: instances})
        if 'gt_sem_seg' in sample:
            sample.gt_sem_seg = _resize_sem_seg(
                sample.gt_sem_seg, (height, width), size, batch_shape
            )
        before = sample.get('scale_factor', (1.0, 1.0))
        sample.set_metainfo(
            dict(
                scale_factor=tuple(b * f for b, f in zip(before, factors)),
                batch_input_shape=batch_shape,
            )
        )
        return super().rescale_sample(sample, size, batch_shape)


def _copy(sample: BaseDataElement) -> BaseDataElement:
    """Of everything but the tensors, which mmdet replaces, never writes to."""
    copy = sample.clone()
    for name, value in sample.items():
        if isinstance(value, BaseDataElement):
            copy.set_data({name: value.clone()})
    if 'scale_factor' not in sample:
        copy.set_metainfo(dict(scale_factor=(1.0, 1.0)))
    return copy


def _resize_masks(masks, old: Size, new: Size, batch_shape: Size):
    if (masks.height, masks.width) != old:  # padded to the batch
        masks = masks.crop(np.array([0, 0, old[1], old[0]]))
    return masks.resize(new).pad(batch_shape)


def _resize_sem_seg(sem_seg, old: Size, new: Size, batch_shape: Size):
    """Semantic map (``sem_seg.sem_seg``, (1, H, W)), perhaps padded."""
    ids = sem_seg.sem_seg[:, : old[0], : old[1]]
    ids = F.interpolate(ids[None].float(), size=new).to(ids.dtype)[0]
    padding = 0, batch_shape[1] - new[1], 0, batch_shape[0] - new[0]
    return PixelData(sem_seg=F.pad(ids, padding, value=255))
