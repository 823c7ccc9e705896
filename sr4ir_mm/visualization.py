import copy
import os.path as osp
from typing import TYPE_CHECKING, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.visualization import Visualizer
from mmengine.visualization.utils import img_from_canvas
from torch import Tensor

from sr4ir_mm.drawing import draw_classes
from sr4ir_mm.models.degradations import to_levels
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.bands import PICTURES, Bands
from sr4ir_mm.utils.labels import name_label, name_labels, name_view

if TYPE_CHECKING:  # a prediction needs no matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 3.0  # inches


def draw_panel(
    model: SRTaskModel, data_batch: dict, visualizer: Visualizer
) -> Tuple[np.ndarray, str]:
    """Draw a panel of an image.

    The first row has the LR image as it is, enlarged bilinearly, the SR and
    the HR image; the second the ground truth and what the task model predicts
    from each of the three. A task model that reads the layers that it shares
    with the SR network (view ``shared``) predicts from these alone: below the
    SR image.

    Args:
        model (SRTaskModel): In eval mode.
        data_batch (dict): A batch of a validation or test data loader, of one
            image.
        visualizer (Visualizer): The toolbox's, whose class draws labels and
            whose ``dataset_meta`` names them.

    Returns:
        tuple[np.ndarray, str]: The panel, RGB uint8 (H, W, 3), and the name of
        the image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from skimage.metrics import peak_signal_noise_ratio

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
    bands = model.bands
    lr = to_uint8(views['lr'][0], bands)
    last = list(samples.values())[-1]  # HR, unless the input is LR
    hr_apart = shared and 'gt_img' in last

    pen = make_pen(type(visualizer), visualizer.dataset_meta)

    height, width = lr.shape[:2]
    num = 1 + len(samples) + hr_apart
    figure = Figure(
        figsize=(CELL * num, 2 * CELL * height / width + 0.8),
        dpi=120,
        layout='constrained',
    )
    axes = figure.subplots(2, num)
    show_image(axes[0, 0], lr, f'LR, {width}x{height} (x{model.scale})')
    show_image(axes[1, 0], draw_sample(pen, last, gt=True), 'ground truth')
    for column, (view, sample) in zip(axes.T[1:], samples.items()):
        title = name_view(view)
        if view != 'hr' and 'gt_img' in sample:
            hr, pred = (
                bands.quantize(image).cpu().numpy()
                for image in (sample.gt_img, sample.pred_img)
            )
            psnr = peak_signal_noise_ratio(hr, pred, data_range=1)
            title += f', PSNR {psnr:.2f} dB'
        show_image(column[0], to_uint8(sample.pred_img, bands), title)
        source = 'shared layers' if shared else title.split(',')[0]
        show_image(column[1], draw_sample(pen, sample), f'from {source}')
    if hr_apart:
        show_image(axes[0, -1], to_uint8(last.gt_img, bands), 'HR')
        axes[1, -1].axis('off')
    add_legend(figure, visualizer.dataset_meta or {})
    panel = img_from_canvas(FigureCanvasAgg(figure))
    return panel, osp.splitext(osp.basename(last.get('img_path', 'image')))[0]


def make_pen(kind: type, dataset_meta: dict) -> Visualizer:
    """A toolbox's visualizer as a pen: without back ends, the only thing that
    it does is to hold the drawn image."""
    pen = kind(name='panel', vis_backends=[], save_dir=None)
    pen.dataset_meta = dataset_meta
    return pen


def _exists(view: str, model: SRTaskModel) -> bool:
    return not (
        view == 'sr'
        and model.sr_net is None
        or view == 'hr'
        and model.input_is_lr
    )


def draw_sample(
    pen: Visualizer, sample, gt: bool = False, **kwargs
) -> np.ndarray:
    """Draw labels over the picture that they belong to, at the labels' size.

    Args:
        pen (Visualizer): The toolbox's.
        sample (BaseDataElement): With ``pred_img`` or ``gt_img``: in [0, 1],
            (C, h, w); and ``bands``, if they are not RGB.
        gt (bool): Whether to draw the ground truth, not what was predicted.
            Defaults to False.
        **kwargs: For the visualizer's ``add_datasample``.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).
    """
    image = sample.gt_img if gt and 'gt_img' in sample else sample.pred_img
    size = sample.get('ori_shape', image.shape[1:])[:2]
    image = F.interpolate(image[None], size=tuple(size), mode='bilinear')[0]
    drawn = to_uint8(image, sample.get('bands', PICTURES))
    pen.dataset_meta = name_labels(pen.dataset_meta, _num_labels(sample))
    what = dict(draw_gt=gt, draw_pred=not gt, **kwargs)
    if hasattr(pen, 'visualize_cls'):  # mmpretrain's
        classes = (pen.dataset_meta or {}).get('classes')
        return _write_classes(drawn, sample.cpu(), classes, gt)
    if hasattr(sample, 'gt_sem_seg') and 'palette' in (pen.dataset_meta or {}):
        what.setdefault('with_labels', False)  # there is a legend
    pen.set_image(drawn)
    pen.add_datasample('panel', drawn, sample.cpu(), **what)
    return pen.get_image()


def _write_classes(
    image: np.ndarray, sample, classes: Optional[Sequence[str]], gt: bool
) -> np.ndarray:
    """Names on an enlarged picture; mmpretrain's own way, ``visualize_cls``,
    puts the labels' numbers before them."""
    labels = sample.get('gt_label' if gt else 'pred_label', torch.tensor([]))
    found = dict(pred_label=labels.tolist())
    found['pred_class'] = [name_label(i, classes) for i in labels.tolist()]
    if not gt:
        found['pred_score'] = sample.pred_score[labels].tolist()
    zoom = 256 / min(image.shape[:2])
    return draw_classes(cv2.resize(image, None, fx=zoom, fy=zoom), found)


def _num_labels(sample) -> int:
    """One more than the largest label; a mask's 255 is none."""
    labels = [
        getattr(sample.get(key), 'labels', sample.get(key))
        for key in ('gt_instances', 'pred_instances', 'gt_label', 'pred_label')
        if key in sample
    ]
    return max((int(one.max()) + 1 for one in labels if len(one)), default=0)


def show_image(axes: 'Axes', image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation='nearest')
    axes.set_title(title, fontsize=10)
    axes.axis('off')


def add_legend(figure: 'Figure', dataset_meta: dict) -> None:
    """Of classes and their colours, in as many columns as fit."""
    from matplotlib.patches import Patch

    classes, palette = dataset_meta.get('classes'), dataset_meta.get('palette')
    if not (classes and palette):
        return
    handles = [
        Patch(color=np.array(color) / 255, label=name)
        for name, color in zip(classes, palette)
    ]
    for columns in range(min(len(classes), 11), 0, -1):
        legend = figure.legend(
            handles=handles,
            loc='outside lower center',
            ncols=columns,
            fontsize=8,
            frameon=False,
        )
        fits = legend.get_window_extent().width <= figure.bbox.width
        if fits or columns == 1:
            return
        legend.remove()


def to_uint8(image: Tensor, bands: Bands = PICTURES) -> np.ndarray:
    """In [0, 1], (C, h, w) -> a picture, RGB uint8, (h, w, 3)."""
    image = to_levels(bands.look(image.detach())).byte()
    return image.permute(1, 2, 0).contiguous().cpu().numpy()
