"""What a task model predicted, in plain values and in other coordinates."""

from typing import Tuple, Union

import numpy as np
import torch.nn as nn
import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData

from sr4ir_mm.models.sr_task_model import SRTaskModel

from .plain import plain_boxes, plain_classes

Size = Tuple[int, int]  # height, width


def has_several_labels(classifier: nn.Module) -> bool:
    """Whether a classifier of mmpretrain gives an image any number of labels
    (``MultiLabelLinearClsHead``, say)."""
    return hasattr(getattr(classifier, 'head', None), 'thr')


def to_plain(
    sample: BaseDataElement, model: SRTaskModel
) -> Union[np.ndarray, dict]:
    """What a data sample predicts, as the toolboxes' inferencers return it.

    Args:
        sample (BaseDataElement): The toolbox's, predicted.
        model (SRTaskModel): By which it was, with ``dataset_meta``. A label
            beyond its ``classes`` has its number for a name.

    Returns:
        np.ndarray | dict: See :meth:`SRInferencer.__call__`.
    """
    if 'pred_sem_seg' in sample:
        return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
    classes = model.dataset_meta.get('classes')
    if 'pred_instances' in sample:
        return _plain_instances(sample.pred_instances.cpu(), classes)
    return plain_classes(
        # numpy has no bfloat16
        sample.pred_score.float().cpu().numpy(),
        sample.pred_label.tolist(),
        has_several_labels(model.task_model),
        classes,
    )


def _plain_instances(instances, classes) -> dict:
    result = plain_boxes(
        instances.bboxes.tolist(),
        instances.scores.tolist(),
        instances.labels.tolist(),
        classes,
    )
    if 'masks' in instances:
        from mmdet.structures.mask import encode_mask_results

        result['masks'] = [
            dict(mask, counts=mask['counts'].decode())
            for mask in encode_mask_results(instances.masks)
        ]
    return result


def rescale_prediction(
    sample: BaseDataElement, size: Size, model: SRTaskModel
) -> None:
    """Bring what was predicted to an image of another size. Sets the fields of
    the sample anew, and writes to none.

    Args:
        sample (BaseDataElement): The toolbox's, predicted.
        size (tuple[int, int]): Height and width of the image.
        model (SRTaskModel): By which it was predicted.
    """
    height, width = sample.ori_shape
    if (height, width) == size:
        return
    if 'seg_logits' in sample:  # what BaseSegmentor.postprocess_result does
        logits = F.interpolate(
            sample.seg_logits.data[None],
            size=size,
            mode='bilinear',
            align_corners=model.align_corners,
        )[0]
        if len(logits) > 1:
            labels = logits.max(dim=0, keepdim=True).indices
        else:
            labels = (logits > model.decode_head.threshold).to(logits)
        sample.set_data(
            dict(
                seg_logits=PixelData(data=logits),
                pred_sem_seg=PixelData(data=labels),
            )
        )
    if 'pred_instances' in sample:
        from mmdet.structures.bbox import scale_boxes

        instances = sample.pred_instances.clone()
        factors = size[1] / width, size[0] / height
        instances.bboxes = scale_boxes(instances.bboxes, factors)
        if 'masks' in instances:
            masks = instances.masks[None].float()
            instances.masks = F.interpolate(masks, size, mode='area')[0] > 0.5
        sample.pred_instances = instances
    sample.set_metainfo(dict(ori_shape=size))
