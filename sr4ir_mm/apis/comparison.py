import copy
import io
import logging
from contextlib import redirect_stdout
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import Dataset

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views

Box = Tuple[int, int, int, int]


class Answer(NamedTuple):
    """What a model makes of one image.

    Args:
        lr (Tensor): Its LR image, RGB in [0, 1], (3, h, w).
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


def compare_models(
    models: Dict[str, SRTaskModel], dataset: Dataset, indices: Sequence[int]
) -> Iterator[Dict[str, Answer]]:
    """Let several models look at the same images.

    Args:
        models (dict[str, SRTaskModel]): Models of one task by name, of
            :func:`init_model`.
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
    evaluators = {k: _build_evaluator(v, dataset) for k, v in models.items()}
    for index in indices:
        data = dataset[index]
        yield {
            name: answer(model, data, evaluators[name])
            for name, model in models.items()
        }


@torch.no_grad()
def answer(
    model: SRTaskModel, data: dict, evaluator: Optional[Evaluator] = None
) -> Answer:
    """What a model makes of an image, as the data set's pipeline packs it."""
    batch = pseudo_collate([copy.deepcopy(data)])
    views = Views(model, **model.data_preprocessor(batch, False))
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
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            evaluator.process([sample])
            return evaluator.evaluate(1)
    finally:
        logger.setLevel(level)


def most_different(images: Sequence[Tensor], size: int) -> Box:
    """Where images differ most.

    Args:
        images (Sequence[Tensor]): RGB in [0, 1], each (3, H, W).
        size (int): Side of the square that is looked for.

    Returns:
        tuple: Left, top, width and height of it, in pixels.
    """
    size = min(size, *images[0].shape[1:])
    difference = torch.stack(list(images)).var(0, unbiased=False)
    sums = F.avg_pool2d(difference.mean(0)[None], size, stride=1)[0]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return left, top, size, size


def _build_evaluator(model: SRTaskModel, dataset: Dataset) -> Evaluator:
    with DefaultScope.overwrite_default_scope(model.cfg.default_scope):
        evaluator = Evaluator(model.cfg.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    return evaluator
