import copy
import os.path as osp
from textwrap import fill
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from mmengine.visualization import Visualizer
from mmengine.visualization.utils import img_from_canvas
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from sr4ir_mm.apis.comparison import Answer, Box, most_different
from sr4ir_mm.evaluation.metrics import TASK_METRICS
from sr4ir_mm.models.degradations import to_levels
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views

_CELL = 3.0  # inches


def draw_panel(
    model: SRTaskModel, data_batch: dict, visualizer: Visualizer
) -> Tuple[np.ndarray, str]:
    """Draw a panel of the first image of a batch.

    The first row has the LR image as it is, enlarged bilinearly, the SR and
    the HR image; the second the ground truth and what the task model predicts
    from each of the three. A task model that reads the layers that it shares
    with the SR network (view ``shared``) predicts from these alone: below the
    SR image.

    Args:
        model (SRTaskModel): In eval mode.
        data_batch (dict): A batch of a validation or test data loader.
        visualizer (Visualizer): The toolbox's, whose class draws labels and
            whose ``dataset_meta`` names them.

    Returns:
        tuple[np.ndarray, str]: The panel, RGB uint8 (H, W, 3), and the name of
        the image.
    """
    data_batch = {key: value[:1] for key, value in data_batch.items()}
    shared = model.view == 'shared'
    with torch.no_grad():
        views = Views(model, **model.data_preprocessor(data_batch, False))
        samples = {}
        for view in ('shared',) if shared else ('bilinear', 'sr', 'hr'):
            if _exists(view, model):
                one = Views(
                    model, views.inputs, copy.deepcopy(views.data_samples)
                )
                samples[view] = model.predict(one, view)[0]
    lr = _to_uint8(views['lr'][0])
    last = list(samples.values())[-1]  # HR, unless the input is LR
    hr_apart = shared and 'gt_img' in last

    pen = make_pen(type(visualizer), visualizer.dataset_meta)

    height, width = lr.shape[:2]
    num = 1 + len(samples) + hr_apart
    figure = Figure(
        figsize=(_CELL * num, 2 * _CELL * height / width + 0.8),
        dpi=120,
        layout='constrained',
    )
    axes = figure.subplots(2, num)
    _show(axes[0, 0], lr, f'LR, {width}x{height} (x{model.scale})')
    _show(axes[1, 0], _draw(pen, last, gt=True), 'ground truth')
    for column, (view, sample) in zip(axes.T[1:], samples.items()):
        title = dict(bilinear=view, shared='SR').get(view, view.upper())
        if view != 'hr' and 'gt_img' in sample:
            psnr = peak_signal_noise_ratio(
                _to_uint8(sample.gt_img), _to_uint8(sample.pred_img)
            )
            title += f', PSNR {psnr:.2f} dB'
        _show(column[0], _to_uint8(sample.pred_img), title)
        source = 'shared layers' if shared else title.split(',')[0]
        _show(column[1], _draw(pen, sample), f'from {source}')
    if hr_apart:
        _show(axes[0, -1], _to_uint8(last.gt_img), 'HR')
        axes[1, -1].axis('off')
    _add_legend(figure, visualizer.dataset_meta or {})
    panel = img_from_canvas(FigureCanvasAgg(figure))
    return panel, osp.splitext(osp.basename(last.get('img_path', 'image')))[0]


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
    """
    samples = [answer.sample for answer in answers.values()]
    images = [sample.pred_img for sample in samples]
    hr = samples[0].get('gt_img')
    pictures = images if hr is None else [*images, hr]
    if crop is None:
        crop = most_different(pictures, max(16, min(images[0].shape[1:]) // 4))
    in_text = hasattr(pen, 'visualize_cls')

    height, width = images[0].shape[1:]
    rows = 2 if in_text else 3
    columns = len(pictures) + 1
    shape = height / width
    row_heights = [shape, crop[3] / crop[2], shape][:rows]
    figure = Figure(
        figsize=(_CELL * columns, _CELL * sum(row_heights) + 0.5 * rows),
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
    _show_with_crop(axes[:, 0], lr, [round(x / factor) for x in crop], 'LR')
    for column, image, (name, answer) in zip(
        axes.T[1:], images, answers.items()
    ):
        _show_with_crop(column, image, crop, fill(name, 32))
        _caption(column[0], _describe_image(answer.scores))
        prediction = _describe_prediction(answer, pen)
        if in_text:
            _caption(column[1], prediction)
        else:
            _show(column[2], _draw(pen, answer.sample), '')
            _caption(column[2], prediction)
    if hr is not None:
        _show_with_crop(axes[:, -1], hr, crop, 'HR')
        if in_text:
            _caption(axes[1, -1], _name_classes(samples[0].gt_label, pen))
        else:
            _show(axes[2, -1], _draw(pen, samples[0], gt=True), '')
            _caption(axes[2, -1], 'ground truth')
    _add_legend(figure, pen.dataset_meta or {})
    return img_from_canvas(FigureCanvasAgg(figure))


def make_pen(kind: type, dataset_meta: dict) -> Visualizer:
    """A toolbox's visualizer as a pen: without back ends, the only thing that
    it does is to hold the drawn image."""
    pen = kind(name='panel', vis_backends=[], save_dir=None)
    pen.dataset_meta = dataset_meta
    return pen


def _show_with_crop(
    column: np.ndarray, image: Tensor, crop: Sequence[int], title: str
) -> None:
    """An image, RGB in [0, 1], (3, h, w), and below it a part of it."""
    left, top, width, height = crop
    image = _to_uint8(image)
    part = image[top : top + height, left : left + width]
    for ax, picture, text in zip(column, (image, part), (title, '')):
        _show(ax, picture, text)
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
        PSNR='PSNR {:.2f} dB', LPIPS='LPIPS {:.3f}'
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
    names: List[str] = [
        classes[label] if classes else str(label) for label in labels.tolist()
    ]
    return ', '.join(names)


def _exists(view: str, model: SRTaskModel) -> bool:
    return not (
        view == 'sr'
        and model.sr_net is None
        or view == 'hr'
        and model.input_is_lr
    )


def _draw(pen: Visualizer, sample, gt: bool = False) -> np.ndarray:
    """Labels over the picture that they belong to, at the labels' size."""
    image = sample.gt_img if gt and 'gt_img' in sample else sample.pred_img
    size = sample.get('ori_shape', image.shape[1:])[:2]
    image = F.interpolate(image[None], size=tuple(size), mode='bilinear')[0]
    drawn = _to_uint8(image)
    what = dict(draw_gt=gt, draw_pred=not gt)
    if hasattr(pen, 'visualize_cls'):  # mmpretrain's
        return pen.visualize_cls(drawn, sample.cpu(), resize=256, **what)
    pen.set_image(drawn)
    pen.add_datasample('panel', drawn, sample.cpu(), **what)
    return pen.get_image()


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation='nearest')
    axes.set_title(title, fontsize=10)
    axes.axis('off')


def _add_legend(figure: Figure, dataset_meta: dict) -> None:
    classes, palette = dataset_meta.get('classes'), dataset_meta.get('palette')
    if classes and palette:
        figure.legend(
            handles=[
                Patch(color=np.array(color) / 255, label=name)
                for name, color in zip(classes, palette)
            ],
            loc='outside lower center',
            ncols=min(len(classes), 11),
            fontsize=8,
            frameon=False,
        )


def _to_uint8(image: Tensor) -> np.ndarray:
    """RGB in [0, 1], (3, h, w) -> RGB uint8, (h, w, 3)."""
    image = to_levels(image.detach()).byte()
    return image.permute(1, 2, 0).contiguous().cpu().numpy()
