import copy
import io
import logging
from contextlib import contextmanager, redirect_stdout
from functools import partial
from textwrap import fill
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from mmengine.visualization.utils import img_from_canvas
from torch import Tensor
from torch.utils.data import Dataset

from sr4ir_mm.evaluation.metrics import TASK_METRICS, look_through
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.bands import PICTURES, Bands
from sr4ir_mm.utils.labels import name_label
from sr4ir_mm.visualization import (
    CELL,
    add_legend,
    draw_sample,
    show_image,
    to_uint8,
)

Box = Tuple[int, int, int, int]


class Answer(NamedTuple):
    """What a model makes of one image.

    Args:
        lr (Tensor): Its LR image, in [0, 1], (C, h, w).
        sample (BaseDataElement): The toolbox's, with ground truth, prediction,
            ``pred_img`` and, unless the image is LR itself, ``gt_img``: see
            :meth:`SRTaskModel.predict`.
        scores (dict[str, float]): Metrics of this image alone, by name.
    """

    lr: Tensor
    sample: BaseDataElement
    scores: Dict[str, float]


def build_test_set(model: SRTaskModel) -> Dataset:
    """The images that a model is tested on.

    Args:
        model (SRTaskModel): Of :func:`init_model`, which gives it its
            ``cfg``.
    """
    with DefaultScope.overwrite_default_scope(model.cfg.default_scope):
        return DATASETS.build(model.cfg.test_dataloader.dataset)


def build_test_evaluator(model: SRTaskModel, dataset: Dataset) -> Evaluator:
    """The metrics that a model is tested by, for these images."""
    with DefaultScope.overwrite_default_scope(model.cfg.default_scope):
        evaluator = Evaluator(model.cfg.test_evaluator)
    look_through(evaluator, model)
    evaluator.dataset_meta = dataset.metainfo
    return evaluator


def find_images(dataset: Dataset, names: Sequence[str]) -> List[int]:
    """Indices of images of a toolbox's data set.

    Args:
        dataset (Dataset): The data set.
        names (Sequence[str]): Numbers, or parts of paths, such as
            ``2007_000033`` or ``Acura/0042.jpg``.

    Raises:
        ValueError: If there is no such image, or more than one.
    """
    paths = [
        info.get('img_path', '')
        for info in map(dataset.get_data_info, range(len(dataset)))
    ]
    found = []
    for name in names:
        if name.isdigit() and int(name) < len(paths):
            found.append(int(name))
            continue
        fitting = [i for i, path in enumerate(paths) if name in path]
        if len(fitting) != 1:
            raise ValueError(
                f'{len(fitting)} of {len(paths)} images have {name!r} in '
                'their path: give a part of the path that one image has '
                f'alone, or its number, 0 to {len(paths) - 1}. Paths are as '
                f'{paths[0]}.'
            )
        found.append(fitting[0])
    return found


def iterate_views(
    model: SRTaskModel, dataset: Dataset, indices: Sequence[int]
) -> Iterator[Views]:
    """The views of images of a data set, one image after the other."""
    for index in indices:
        yield make_views(model, dataset[index])


def make_views(model: SRTaskModel, data: dict) -> Views:
    """The views of an image, as the data set's pipeline packs it."""
    batch = pseudo_collate([data])
    return Views(model, **model.data_preprocessor(batch, False))


def compare_models(
    models: Dict[str, SRTaskModel], dataset: Dataset, indices: Sequence[int]
) -> Iterator[Dict[str, Answer]]:
    """Let several models look at the same images.

    Args:
        models (dict[str, SRTaskModel]): Models of one task by name, of
            :func:`init_model`. The metrics are those of the first.
        dataset (Dataset): The images with their labels, for all of them.
        indices (Sequence[int]): Which of these.

    Yields:
        dict[str, Answer]: Of each image, by the models' names.

    Raises:
        ValueError: If the models' tasks differ.
    """
    toolboxes = {name: model.toolbox for name, model in models.items()}
    if len(set(toolboxes.values())) > 1:
        raise ValueError(
            'Only models of one task can be compared, but these are of '
            f'several toolboxes: {toolboxes}.'
        )
    first = next(iter(models.values()))
    evaluator = build_test_evaluator(first, dataset)
    for index in indices:
        data = dataset[index]
        yield {
            name: answer(model, data, evaluator)
            for name, model in models.items()
        }


@torch.no_grad()
def answer(
    model: SRTaskModel, data: dict, evaluator: Optional[Evaluator] = None
) -> Answer:
    """What a model makes of an image, as the data set's pipeline packs it."""
    views = make_views(model, copy.deepcopy(data))
    sample = model.predict(views, model.view)[0].cpu()
    scores = evaluate_image(evaluator, sample) if evaluator else {}
    return Answer(views['lr'][0].cpu(), sample, scores)


def evaluate_image(
    evaluator: Evaluator, sample: BaseDataElement
) -> Dict[str, float]:
    """Metrics of a single image, without their reports in the log."""
    evaluator = copy.deepcopy(evaluator)  # mmdet's remember their images
    for metric in evaluator.metrics:
        if getattr(metric, '_coco_api', None) is not None:
            metric.img_ids = [sample.img_id]  # of all in `ann_file`
    with without_reports():
        evaluator.process([sample])
        return evaluator.evaluate(1)


@contextmanager
def without_reports() -> Iterator[None]:
    """Inside, metrics write no tables, on the screen or into the log."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def draw_comparison(
    answers: Dict[str, Answer], pen: Visualizer, crop: Optional[Box] = None
) -> np.ndarray:
    """Draw what several models make of one image, as the paper's figures 4-6.

    A column for each model: the image that it predicts from, with PSNR and
    LPIPS, a part of it, enlarged, and its prediction with the task's metric on
    this image alone. LR stands on the left, HR and the ground truth on the
    right. Of a classifier, the prediction is a line of text.

    Args:
        answers (dict[str, Answer]): By the models' names.
        pen (Visualizer): Of :func:`make_pen`.
        crop (tuple, optional): Left, top, width and height of the part, in
            pixels of HR. Defaults to the quarter of the sides where the images
            differ most.

    Returns:
        np.ndarray: RGB uint8, (H, W, 3).

    Raises:
        ValueError: If ``crop`` is no part of the image.
    """
    samples = [answer.sample for answer in answers.values()]
    images = [sample.pred_img for sample in samples]
    hr = samples[0].get('gt_img')
    pictures = images if hr is None else [*images, hr]
    if crop is None:
        crop = most_different(pictures, max(16, min(images[0].shape[1:]) // 4))
    in_text = hasattr(pen, 'visualize_cls')
    height, width = images[0].shape[1:]
    left, top, crop_width, crop_height = crop
    if not (
        0 <= left < left + crop_width <= width
        and 0 <= top < top + crop_height <= height
    ):
        raise ValueError(
            f'crop={tuple(crop)}: expected left, top, width and height of a '
            f'part of the image, which has {width} x {height} pixels.'
        )
    rows = 2 if in_text else 3
    columns = len(pictures) + 1
    shape = height / width
    row_heights = [shape, crop_height / crop_width, shape][:rows]
    figure = Figure(
        figsize=(CELL * columns, CELL * sum(row_heights) + 0.5 * rows),
        dpi=120,
        layout='constrained',
    )
    axes = figure.subplots(
        rows, columns, height_ratios=row_heights, squeeze=False
    )
    for ax in axes.flat:
        ax.axis('off')
    lr = next(iter(answers.values())).lr
    factor = images[0].shape[2] / lr.shape[2]
    looked = partial(_show_with_crop, bands=samples[0].get('bands', PICTURES))
    looked(axes[:, 0], lr, [round(x / factor) for x in crop], 'LR')
    for column, image, (name, answer) in zip(
        axes.T[1:], images, answers.items()
    ):
        looked(column, image, crop, fill(name, 32))
        _caption(column[0], _describe_image(answer.scores))
        prediction = _describe_prediction(answer, pen)
        if in_text:
            _caption(column[1], prediction)
        else:
            show_image(column[2], draw_sample(pen, answer.sample), '')
            _caption(column[2], prediction)
    if hr is not None:
        looked(axes[:, -1], hr, crop, 'HR')
        if in_text:
            _caption(axes[1, -1], _name_classes(samples[0].gt_label, pen))
        else:
            show_image(axes[2, -1], draw_sample(pen, samples[0], gt=True), '')
            _caption(axes[2, -1], 'ground truth')
    add_legend(figure, pen.dataset_meta or {})
    return img_from_canvas(FigureCanvasAgg(figure))


def most_different(images: Sequence[Tensor], size: int) -> Box:
    """Where images differ most.

    Args:
        images (Sequence[Tensor]): in [0, 1], each (C, H, W).
        size (int): Side of the square that is looked for.

    Returns:
        tuple: Left, top, width and height of it, in pixels.
    """
    size = min(size, *images[0].shape[1:])
    difference = torch.stack(list(images)).var(0, unbiased=False)
    sums = F.avg_pool2d(difference.mean(0)[None], size, stride=1)[0]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return left, top, size, size


def _show_with_crop(
    column: np.ndarray,
    image: Tensor,
    crop: Sequence[int],
    title: str,
    bands: Bands,
) -> None:
    """An image in [0, 1], (C, h, w), and below it a part of it."""
    left, top, width, height = crop
    image = to_uint8(image, bands)
    part = image[top : top + height, left : left + width]
    for ax, picture, text in zip(column, (image, part), (title, '')):
        show_image(ax, picture, text)
    column[0].add_patch(
        Rectangle(
            (left - 0.5, top - 0.5), width, height, fill=False, color='red'
        )
    )


def _caption(ax: Axes, text: str) -> None:
    ax.text(
        *(0.5, -0.02, text),
        transform=ax.transAxes,
        ha='center',
        va='top',
        fontsize=9,
    )


def _describe_image(scores: Dict[str, float]) -> str:
    parts = []
    for name, form in dict(
        PSNR='PSNR {:.2f} dB', LPIPS='LPIPS {:.3f}', TFD='TFD {:.4f}'
    ).items():
        if np.isfinite(scores.get(f'sr/{name}', np.inf)):
            parts.append(form.format(scores[f'sr/{name}']))
    return ', '.join(parts)


def _describe_prediction(answer: Answer, pen: Visualizer) -> str:
    sample, scores = answer.sample, answer.scores
    if 'pred_label' in sample:
        text = _name_classes(sample.pred_label, pen)
        if 'gt_label' in sample:
            right = sample.pred_label.tolist() == sample.gt_label.tolist()
            text += ' \N{CHECK MARK}' if right else ' \N{BALLOT X}'
        return text
    return ', '.join(
        f'{name.split("_")[-1]} {scores[name] * factor:.1f}'
        for name, factor in TASK_METRICS.items()
        if name in scores
    )


def _name_classes(labels: Tensor, pen: Visualizer) -> str:
    classes = (pen.dataset_meta or {}).get('classes')
    return ', '.join(name_label(label, classes) for label in labels.tolist())
