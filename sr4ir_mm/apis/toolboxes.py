"""What tells the toolboxes apart when an image is packed or drawn."""

from typing import Callable

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.visualization import (
    draw_sample,
    name_labels,
    name_view,
    to_uint8,
)

from .predictions import rescale_prediction

PACK = dict(
    mmseg='PackSegInputs', mmdet='PackDetInputs', mmpretrain='PackInputs'
)
VISUALIZER = dict(
    mmseg='SegLocalVisualizer',
    mmdet='DetLocalVisualizer',
    mmpretrain='UniversalVisualizer',
)
# Transforms that need files or labels, which are not there.
LOADERS = ('Load', 'Pack', 'DegradeInPipeline')
MIN_SIDE = 256  # of drawings
GAP = 8  # pixels between the pictures of a drawing
HEADING = 24  # pixels above a picture, at least


def build_pipeline(cfg: Config, toolbox: str, hr: bool) -> Callable:
    """What happens to an image: an HR image goes through the config's test
    pipeline, an LR image reaches the SR network as it is."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    transforms = [
        transform
        for transform in dataset.get('pipeline', [])
        if not transform['type'].split('.')[-1].startswith(LOADERS)
    ]
    pack = dict(type=PACK[toolbox])
    with DefaultScope.overwrite_default_scope(toolbox):
        return Compose([*transforms, pack] if hr else [pack])


def build_pen(cfg: Config, model: SRTaskModel) -> Visualizer:
    """The toolbox's visualizer without back ends, which only draws."""
    options = dict(cfg.get('visualizer') or {})
    name = options.pop('type', VISUALIZER[model.toolbox])
    scope = options.pop('_scope_', model.toolbox)  # of an inherited config
    options.update(name='pen', vis_backends=[], save_dir=None)
    # not built by the registry, which would give all models the same one
    with VISUALIZERS.switch_scope_and_registry(scope) as registry:
        pen = registry.get(name)(**options)
    num, needed = 0, ()
    if model.toolbox == 'mmseg':  # which insists on both
        num, needed = model.num_classes, ('classes', 'palette')
    pen.dataset_meta = name_labels(model.dataset_meta, num, needed)
    return pen


def use_sliding_windows(model: SRTaskModel, side: int) -> None:
    """Let a segmentor look at windows of this side, unless its config has
    windows of its own."""
    test_cfg = model.task_model.test_cfg
    if test_cfg.get('mode') != 'slide':
        stride = max(side * 2 // 3, 1)
        test_cfg.update(
            mode='slide', crop_size=(side, side), stride=(stride, stride)
        )


def draw_result(
    pen: Visualizer,
    sample: BaseDataElement,
    model: SRTaskModel,
    pred_score_thr: float,
) -> np.ndarray:
    """Draw, side by side, the LR image, the SR image, and the SR image with
    what is predicted, under headings; small images are enlarged, so that words
    fit in.

    Args:
        pen (Visualizer): Of :func:`build_pen`.
        sample (BaseDataElement): Predicted, with ``pred_img`` and ``lr_img``:
            RGB in [0, 1], (3, h, w).
        model (SRTaskModel): By which it was.
        pred_score_thr (float): Score from which on boxes are drawn.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).
    """
    zoom = -(-MIN_SIDE // min(sample.ori_shape))
    if zoom > 1:
        sample = sample.clone()
        size = tuple(side * zoom for side in sample.ori_shape)
        rescale_prediction(sample, size, model)
    options = {}
    if model.toolbox == 'mmdet':
        options.update(pred_score_thr=pred_score_thr)
    drawn = draw_sample(pen, sample, **options)
    height, width = drawn.shape[:2]
    pictures = []
    for name, image in (
        ('LR', to_uint8(sample.lr_img)),
        (name_view(model.view), to_uint8(sample.pred_img)),
    ):
        title = f'{name} {image.shape[1]} x {image.shape[0]}'
        image = mmcv.imresize(image, (width, height), interpolation='nearest')
        pictures.append(_under_heading(image, title))
    pictures.append(_under_heading(drawn, 'prediction'))
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    lr, sr, drawn = pictures
    return np.concatenate([lr, gap, sr, gap, drawn], axis=1)


def _under_heading(picture: np.ndarray, title: str) -> np.ndarray:
    height, width = picture.shape[:2]
    heading = np.full((max(HEADING, height // 24), width, 3), 255, np.uint8)
    size = len(heading)
    cv2.putText(
        heading,
        title,
        (size // 6, size - size // 3),
        cv2.FONT_HERSHEY_SIMPLEX,
        size / 45,
        (0, 0, 0),
        max(1, size // 24),
        cv2.LINE_AA,
    )
    return np.concatenate([heading, picture])
