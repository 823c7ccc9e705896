"""What tells the toolboxes apart when an image is packed or drawn."""

from typing import Callable

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.visualization import draw_sample, to_uint8

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
# In larger images, mmseg takes minutes to find the middles of all masks.
MAX_LABELLED = 512 * 512
GAP = 8  # pixels between the pictures of a drawing


def build_pipeline(cfg: Config, toolbox: str, hr: bool) -> Callable:
    """What happens to an image: an HR image goes through the config's test
    pipeline, an LR image reaches the SR network as it is."""
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
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
    default = dict(type=VISUALIZER[model.toolbox])
    visualizer = dict(cfg.get('visualizer') or default)
    visualizer.update(name=f'pen_{id(model)}', vis_backends=[], save_dir=None)
    with DefaultScope.overwrite_default_scope(model.toolbox):
        pen = VISUALIZERS.build(visualizer)
    pen.dataset_meta = dict(model.dataset_meta)
    if model.toolbox == 'mmseg':  # which insists on both
        num = model.num_classes
        colors = np.random.default_rng(0).integers(0, 256, (num, 3)).tolist()
        names = [str(label) for label in range(num)]
        for key, default in (('classes', names), ('palette', colors)):
            pen.dataset_meta[key] = pen.dataset_meta.get(key) or default
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
    toolbox: str,
    pred_score_thr: float,
) -> np.ndarray:
    """Draw the LR image beside the SR image with what is predicted.

    Args:
        pen (Visualizer): Of :func:`build_pen`.
        sample (BaseDataElement): Predicted, with ``pred_img`` and ``lr_img``:
            RGB in [0, 1], (3, h, w).
        toolbox (str): Whose they are.
        pred_score_thr (float): Score from which on boxes are drawn.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).
    """
    options = {}
    if toolbox == 'mmseg':
        height, width = sample.ori_shape
        options.update(with_labels=height * width <= MAX_LABELLED)
    elif toolbox == 'mmdet':
        options.update(pred_score_thr=pred_score_thr)
    drawn = draw_sample(pen, sample, **options)
    height, width = drawn.shape[:2]
    lr = mmcv.imresize(
        to_uint8(sample.lr_img), (width, height), interpolation='nearest'
    )
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.concatenate([lr, gap, drawn], axis=1)
