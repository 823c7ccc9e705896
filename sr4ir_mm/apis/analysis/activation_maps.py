from textwrap import fill
from typing import Dict, List, NamedTuple, Optional

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.registry import require_package
from sr4ir_mm.visualization import CELL, show_image, to_uint8


class ActivationMap(NamedTuple):
    """Where a task model looks for a class.

    Args:
        image (Tensor): What it looks at, RGB in [0, 1], (3, h, w).
        heat (ndarray): From 0 to 1, (h, w).
        score (float): The probability that it gives the class: of the image,
            or the largest of all pixels or boxes.
    """

    image: Tensor
    heat: np.ndarray
    score: float


class Evidence(nn.Module):
    """A task model of which only the evidence for one class comes out.

    That is its logit (classification), the mean of the pixels' logits,
    weighted by their probability (segmentation), or the largest score of a
    box (detection).

    Args:
        model (SRTaskModel): In eval mode.
        views (Views): One image.
        category (int): The class.
    """

    def __init__(
        self, model: SRTaskModel, views: Views, category: int
    ) -> None:
        super().__init__()
        self.toolbox = model.toolbox
        self.task_model = model.task_model
        self.samples = model.task_samples(views)
        self.category = category
        self.score = 0.0

    def forward(self, inputs: Tensor) -> List[Tensor]:
        """
        Args:
            inputs (Tensor): Task-normalised, (1, 3, h, w).

        Returns:
            list[Tensor]: The evidence, a scalar, of each image.
        """
        output = self.task_model(inputs, self.samples, mode='tensor')
        if self.toolbox == 'mmdet':
            scores = box_scores(self.task_model, output)[:, self.category]
            self.score = scores.max().item()
            return [scores.max()]
        # (1, num_classes), or (1, num_classes, h, w)
        logits = output[0, self.category]
        probability = output.detach().softmax(1)[0, self.category]
        self.score = probability.max().item()
        return [(logits * probability).sum() / probability.sum()]


def box_scores(detector: nn.Module, output: tuple) -> Tensor:
    """Scores of all boxes, before any selection, which mmdet cuts off from the
    gradient: (num_boxes, num_classes), or one more column for background.

    Args:
        detector (nn.Module): Of mmdet.
        output (tuple): What it returns in mode ``tensor`` for one image.

    Raises:
        ValueError: If the detector is of another kind.
    """
    if getattr(detector, 'roi_head', None) is not None:
        return output[-1][0].softmax(1)  # of the last part, (boxes, classes)
    head = getattr(detector, 'bbox_head', None)
    classes = getattr(head, 'cls_out_channels', 0)
    maps = output[0]
    if classes and isinstance(maps, (list, tuple)):
        flat = torch.cat(
            [x.permute(0, 2, 3, 1).reshape(-1, classes) for x in maps]
        )
        sigmoid = getattr(head, 'use_sigmoid_cls', True)
        return flat.sigmoid() if sigmoid else flat.softmax(1)
    raise ValueError(
        f'Grad-CAM of {type(detector).__name__} is not known: only of '
        'detectors with a RoI head, or a head whose maps have scores.'
    )


def activation_map(
    model: SRTaskModel,
    views: Views,
    view: str,
    category: int,
    layer: Optional[str] = None,
) -> ActivationMap:
    """Grad-CAM of one view of an image, by the ``grad-cam`` package.

    Args:
        model (SRTaskModel): In eval mode.
        views (Views): One image.
        view (str): Which view of it.
        category (int): The class.
        layer (str, optional): Name of a module of the task model. Defaults to
            the last of its backbone that gives a map of features.

    Raises:
        ValueError: If there is no such module.
    """
    require_package('pytorch_grad_cam', 'Grad-CAM', 'grad-cam')
    from pytorch_grad_cam import GradCAM

    with torch.no_grad():
        inputs = views.task_input(view)
        image = views[view][0, :, : views.sizes[0][0], : views.sizes[0][1]]
        layer = layer or last_map(model.task_model, inputs)
    modules = dict(model.task_model.named_modules())
    if layer not in modules:
        raise ValueError(
            f'The task model has no module {layer!r}. See '
            '`print(model.task_model)` for what it has.'
        )
    network = Evidence(model, views, category)
    with GradCAM(network, [modules[layer]]) as cam:
        # the gradient also where backbones are frozen
        heat = cam(inputs.clone().requires_grad_(), [lambda score: score])
    height, width = views.task_sizes[0]
    heat = torch.from_numpy(heat[None, :, :height, :width])
    size = image.shape[1:]
    heat = F.interpolate(heat, size=size, mode='bilinear')[0, 0]
    image = model.bands.look(image).cpu()
    return ActivationMap(image, heat.clamp(0, 1).numpy(), network.score)


def last_map(task_model: nn.Module, inputs: Tensor) -> str:
    """Name of the last module of a task model's backbone that gives a map of
    features, when it looks at ``inputs``, task-normalised, (N, 3, h, w)."""
    found = []
    handles = [
        module.register_forward_hook(
            lambda _, __, output, name=name: found.append((name, output))
        )
        for name, module in task_model.backbone.named_modules()
        if name
    ]
    try:
        task_model.backbone(inputs)
    finally:
        for handle in handles:
            handle.remove()
    maps = [
        name
        for name, output in found
        if isinstance(output, Tensor) and output.dim() == 4
    ]
    return f'backbone.{maps[-1]}'


def main_class(model: SRTaskModel, views: Views) -> int:
    """The class that most of an image is labelled with (not background).

    Raises:
        ValueError: If it has no label.
    """
    sample = views.data_samples[0]
    if 'gt_label' in sample:
        return int(sample.gt_label[0])
    if 'gt_sem_seg' in sample:
        labels = sample.gt_sem_seg.data.flatten().cpu()
        classes = model.dataset_meta['classes']
        counts = torch.bincount(labels, minlength=256)[: len(classes)]
        if classes[0] == 'background':
            counts[0] = 0
        if counts.any():
            return int(counts.argmax())
    elif len(sample.get('gt_instances', ())):
        boxes = sample.gt_instances.bboxes
        boxes = getattr(boxes, 'tensor', boxes)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        return int(sample.gt_instances.labels[areas.argmax()])
    raise ValueError(
        f'{sample.get("img_path")} has no label: say which class to look for.'
    )


def draw_activation_maps(
    rows: Dict[str, Dict[str, ActivationMap]], category: str
) -> Figure:
    """Draw Grad-CAM, as the paper's figure S2: a row for each model, and a
    column for each view that it looks at.

    Args:
        rows (dict): Maps by the model's name and the view.
        category (str): Name of the class that they are of.
    """
    require_package('pytorch_grad_cam', 'Grad-CAM', 'grad-cam')
    from pytorch_grad_cam.utils.image import show_cam_on_image

    names = ('bilinear', 'sr', 'hr')
    names = [n for n in names if any(n in maps for maps in rows.values())]
    first = next(iter(next(iter(rows.values())).values()))
    shape = first.heat.shape[0] / first.heat.shape[1]
    figure = Figure(
        figsize=(CELL * len(names), (CELL * shape + 0.4) * len(rows)),
        layout='constrained',
    )
    axes = figure.subplots(len(rows), len(names), squeeze=False)
    for row, (name, maps) in zip(axes, rows.items()):
        for ax, view in zip(row, names):
            ax.axis('off')
            if view not in maps:
                continue
            activation = maps[view]
            image = to_uint8(activation.image) / np.float32(255)
            title = view.upper() if view in ('sr', 'hr') else f'LR, {view}'
            show_image(
                ax,
                show_cam_on_image(image, activation.heat, use_rgb=True),
                f'{title}: {category} {activation.score:.2f}',
            )
        row[0].text(
            *(-0.05, 0.5, fill(name, 24)),
            transform=row[0].transAxes,
            rotation=90,
            ha='right',
            va='center',
        )
    return figure
