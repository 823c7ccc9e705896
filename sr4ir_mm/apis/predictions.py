"""What a task model predicted, in plain values and in other coordinates."""

from typing import Tuple, Union

import numpy as np
import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData

Size = Tuple[int, int]  # height, width


def to_plain(
    sample: BaseDataElement, dataset_meta: dict
) -> Union[np.ndarray, dict]:
    """What a data sample predicts, as the toolboxes' inferencers return it.

    Args:
        sample (BaseDataElement): The toolbox's, predicted.
        dataset_meta (dict): With ``classes``, if there are names.

    Returns:
        np.ndarray | dict: See :meth:`SRInferencer.__call__`.
    """
    if 'pred_sem_seg' in sample:
        return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
    classes = dataset_meta.get('classes')
    if 'pred_instances' in sample:
        return _plain_instances(sample.pred_instances.cpu(), classes)
    label = int(sample.pred_label)
    result = dict(
        pred_scores=sample.pred_score.cpu().numpy(),
        pred_label=label,
        pred_score=float(sample.pred_score[label]),
    )
    return dict(result, pred_class=classes[label]) if classes else result


def _plain_instances(instances, classes) -> dict:
    labels = instances.labels.tolist()
    result = dict(
        bboxes=instances.bboxes.tolist(),
        scores=instances.scores.tolist(),
        labels=labels,
    )
    if classes:
        result['label_names'] = [classes[label] for label in labels]
    if 'masks' in instances:
        from mmdet.structures.mask import encode_mask_results

        result['masks'] = [
            dict(mask, counts=mask['counts'].decode())
            for mask in encode_mask_results(instances.masks)
        ]
    return result


def rescale_prediction(
    sample: BaseDataElement, size: Size, align_corners: bool, threshold: float
) -> None:
    """Bring what was predicted to an image of another size, in place.

    Args:
        sample (BaseDataElement): The toolbox's, predicted.
        size (tuple[int, int]): Height and width of the image.
        align_corners (bool): How the segmentor resizes its logits.
        threshold (float): From which on a segmentor with a single logit says
            foreground.
    """
    height, width = sample.ori_shape
    if (height, width) == size:
        return
    if 'seg_logits' in sample:  # as mmseg resizes them
        logits = F.interpolate(
            sample.seg_logits.data[None],
            size=size,
            mode='bilinear',
            align_corners=align_corners,
        )[0]
        if len(logits) > 1:
            labels = logits.argmax(dim=0, keepdim=True)
        else:
            labels = (logits > threshold).to(logits)
        sample.set_data(
            dict(
                seg_logits=PixelData(data=logits),
                pred_sem_seg=PixelData(data=labels),
            )
        )
    if 'pred_instances' in sample:
        from mmdet.structures.bbox import scale_boxes

        instances = sample.pred_instances
        factors = size[1] / width, size[0] / height
        instances.bboxes = scale_boxes(instances.bboxes, factors)
        if 'masks' in instances:
            masks = instances.pop('masks')[None].float()
            instances.masks = F.interpolate(masks, size, mode='area')[0] > 0.5
    sample.set_metainfo(dict(ori_shape=size))
