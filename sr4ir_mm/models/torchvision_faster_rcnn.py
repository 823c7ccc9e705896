"""What torchvision's Faster R-CNN does and no option of mmdet's can say."""

from typing import List, Optional, Sequence, Tuple

from mmdet.models.layers import multiclass_nms
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.structures.bbox import scale_boxes
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from sr4ir_mm.registry import MODELS, TASK_UTILS

Sizes = Sequence[Tuple[int, int]]


@TASK_UTILS.register_module()
class TorchvisionAnchorGenerator(AnchorGenerator):
    """Anchors as torchvision places them.

    Their corners are rounded to whole pixels. Only the first stride is
    nominal: the others divide the batch's size by the map's, so that the
    anchors of an odd number of cells, pooled, still spread over the image.
    And those in the padding of the batch count like all others.

    Args:
        **kwargs: Arguments of mmdet's ``AnchorGenerator``.
    """

    def gen_single_level_base_anchors(self, *args, **kwargs) -> Tensor:
        return super().gen_single_level_base_anchors(*args, **kwargs).round()

    def grid_priors(self, featmap_sizes: Sizes, **kwargs) -> List[Tensor]:
        height, width = self._batch_shape(featmap_sizes)
        self.strides = [(width // w, height // h) for h, w in featmap_sizes]
        return super().grid_priors(featmap_sizes, **kwargs)

    def valid_flags(
        self, featmap_sizes: Sizes, pad_shape: Tuple[int, int], *args, **kwargs
    ) -> List[Tensor]:
        """All true: ``pad_shape`` is one image's, the batch's may exceed."""
        batch_shape = self._batch_shape(featmap_sizes)
        return super().valid_flags(featmap_sizes, batch_shape, *args, **kwargs)

    def _batch_shape(self, featmap_sizes: Sizes) -> Tuple[int, int]:
        (h, w), (stride_w, stride_h) = featmap_sizes[0], self.strides[0]
        return h * stride_h, w * stride_w


@TASK_UTILS.register_module()
class TorchvisionAssigner(MaxIoUAssigner):
    """Low-quality matches as torchvision makes them.

    An anchor that is the best one for some object becomes positive, as in
    mmdet, but it then regresses to the object that it overlaps most, which
    may be another one.

    Args:
        **kwargs: Arguments of mmdet's ``MaxIoUAssigner``.
    """

    def assign_wrt_overlaps(
        self, overlaps: Tensor, gt_labels: Tensor
    ) -> AssignResult:
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        if overlaps.numel():
            positive = result.gt_inds > 0
            best = overlaps.max(dim=0).indices[positive]
            result.gt_inds[positive] = best + 1
            result.labels[positive] = gt_labels[best]
        return result


@MODELS.register_module()
class TorchvisionBBoxHead(Shared2FCBBoxHead):
    """Box head that drops boxes without extent before NMS.

    Args: Those of mmdet's ``Shared2FCBBoxHead``.
    """

    # Width and height of a detection, in pixels of the network's input.
    min_size = 0.01

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_meta: dict,
        rescale: bool = False,
        rcnn_test_cfg: Optional[ConfigDict] = None,
    ) -> InstanceData:
        raw = super()._predict_by_feat_single(
            roi, cls_score, bbox_pred, img_meta
        )
        boxes = raw.bboxes.view(len(roi), self.num_classes, 4)
        sides = boxes[..., 2:] - boxes[..., :2]
        # Score 0 is below any threshold.
        raw.scores[:, :-1] *= (sides >= self.min_size).all(dim=-1)
        if rescale:
            factor = [1 / s for s in img_meta['scale_factor']]
            raw.bboxes = scale_boxes(raw.bboxes, factor)
        if rcnn_test_cfg is None:
            return raw
        detections, labels = multiclass_nms(
            raw.bboxes,
            raw.scores,
            rcnn_test_cfg.score_thr,
            rcnn_test_cfg.nms,
            rcnn_test_cfg.max_per_img,
        )
        return InstanceData(
            bboxes=detections[:, :4], scores=detections[:, 4], labels=labels
        )
