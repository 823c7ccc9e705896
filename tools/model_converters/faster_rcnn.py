"""Weights of torchvision's Faster R-CNN on MobileNetV3 <-> mmdet's."""

from typing import Dict, Sequence, Tuple

import torch
from torch import Tensor

# Prefixes of the names: torchvision's, mmdet's.
PREFIXES = (
    ('backbone.body.', 'backbone.features.'),
    ('backbone.fpn.inner_blocks.0.0.', 'neck.lateral_convs.0.conv.'),
    ('backbone.fpn.inner_blocks.1.0.', 'neck.lateral_convs.1.conv.'),
    ('backbone.fpn.layer_blocks.0.0.', 'neck.fpn_convs.0.conv.'),
    ('backbone.fpn.layer_blocks.1.0.', 'neck.fpn_convs.1.conv.'),
    ('rpn.head.conv.0.0.', 'rpn_head.rpn_conv.'),
    ('rpn.head.cls_logits.', 'rpn_head.rpn_cls.'),
    ('rpn.head.bbox_pred.', 'rpn_head.rpn_reg.'),
    ('roi_heads.box_head.fc6.', 'roi_head.bbox_head.shared_fcs.0.'),
    ('roi_heads.box_head.fc7.', 'roi_head.bbox_head.shared_fcs.1.'),
    ('roi_heads.box_predictor.cls_score.', 'roi_head.bbox_head.fc_cls.'),
    ('roi_heads.box_predictor.bbox_pred.', 'roi_head.bbox_head.fc_reg.'),
)
# Names before torchvision 0.13, which its COCO weights still have.
OLD_PREFIXES = (
    ('backbone.fpn.inner_blocks.0.', 'neck.lateral_convs.0.conv.'),
    ('backbone.fpn.inner_blocks.1.', 'neck.lateral_convs.1.conv.'),
    ('backbone.fpn.layer_blocks.0.', 'neck.fpn_convs.0.conv.'),
    ('backbone.fpn.layer_blocks.1.', 'neck.fpn_convs.1.conv.'),
    ('rpn.head.conv.', 'rpn_head.rpn_conv.'),
)


def torchvision_to_mmdet(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Convert a state dict of ``fasterrcnn_mobilenet_v3_large_fpn``.

    torchvision's class 0 is the background, mmdet's is the last. The box
    that torchvision regresses for the background is never used: it is left
    out.

    Args:
        state_dict (dict[str, Tensor]): torchvision's names and weights, for
            any number of classes.

    Returns:
        dict[str, Tensor]: Those of
        ``configs/_base_/models/faster-rcnn_mobilenet-v3.py``.

    Raises:
        KeyError: If the state dict is of another network.
    """
    converted = {}
    for name, value in state_dict.items():
        if name.startswith('roi_heads.box_predictor.cls_score.'):
            value = value.roll(-1, dims=0)
        elif name.startswith('roi_heads.box_predictor.bbox_pred.'):
            value = value[4:]
        converted[_rename(name, PREFIXES + OLD_PREFIXES)] = value
    return converted


def mmdet_to_torchvision(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """The inverse of :func:`torchvision_to_mmdet`, with zeros for the
    weights of the box of the background."""
    converted = {}
    prefixes = tuple((mmdet, theirs) for theirs, mmdet in PREFIXES)
    for name, value in state_dict.items():
        if name.startswith('roi_head.bbox_head.fc_cls.'):
            value = value.roll(1, dims=0)
        elif name.startswith('roi_head.bbox_head.fc_reg.'):
            value = torch.cat([torch.zeros_like(value[:4]), value])
        converted[_rename(name, prefixes)] = value
    return converted


def _rename(name: str, prefixes: Sequence[Tuple[str, str]]) -> str:
    for old, new in prefixes:
        if name.startswith(old):
            return new + name[len(old) :]
    raise KeyError(
        f'{name!r} is no weight of a Faster R-CNN on MobileNetV3-Large-FPN: '
        'convert weights of torchvision fasterrcnn_mobilenet_v3_large_fpn or '
        'of configs/_base_/models/faster-rcnn_mobilenet-v3.py only.'
    )
