"""From a model to files that run without this package."""

import inspect
import json
import sys
import warnings
from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union
from unittest.mock import patch

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config
from safetensors.torch import save
from torch import Tensor
from torchvision.ops import nms

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.registry import require_package
from sr4ir_mm.utils.files import whole_file
from sr4ir_mm.utils.safe_load import META

from .onnx_inferencer import FORMAT, start_session
from .predictions import has_several_labels
from .toolboxes import find_raster_loader

OPSET = 17


class _LRViews(Views):
    """Views of LR images as they are: of the file's values, float."""

    def _make_lr(self) -> Tensor:
        return self.model.bands.to_unit(self.inputs)


class DeployableSRNet(nn.Module):
    """The SR network, from LR images to SR images.

    Args:
        model (SRTaskModel): In eval mode.
    """

    outputs: Tuple[str, ...] = ('sr',)
    any_size = True  # or one image of one size

    def __init__(self, model: SRTaskModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        """
        Args:
            images (Tensor): LR: RGB, uint8, (N, 3, h, w); of other bands, the
                file's values, float, (N, C, h, w).

        Returns:
            tuple[Tensor]: What ``outputs`` names. ``sr`` is in [0, 1],
            (N, C, h * scale, w * scale).
        """
        return (_LRViews(self.model, images.float())['sr'].clamp(0, 1),)

    def axes(self) -> Dict[str, Dict[int, str]]:
        """Those that may have any length, of input and outputs."""
        if not self.any_size:
            return {}
        return dict(
            images={0: 'batch', 2: 'height', 3: 'width'},
            sr={0: 'batch', 2: 'sr_height', 3: 'sr_width'},
        )


class Deployable(DeployableSRNet):
    """Both networks, from LR images to SR images and predictions.

    What the task model's data preprocessor does is done here.
    """

    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        views = _LRViews(self.model, images.float())
        view = self.model.view
        picture = views['sr' if view == 'shared' else view]
        inputs = views[view]
        if view != 'shared':
            inputs = self.model.image_space.normalize(inputs)
        return (picture.clamp(0, 1), *self.predict(inputs, images))

    def predict(self, inputs: Tensor, images: Tensor) -> Tuple[Tensor, ...]:
        """
        Args:
            inputs (Tensor): Task-normalised, (N, C, H, W), or features.
            images (Tensor): LR, (N, C, h, w).
        """
        raise NotImplementedError


class DeployableClassifier(Deployable):
    """``scores`` are the classes' probabilities, (N, classes)."""

    outputs = ('sr', 'scores')

    def predict(self, inputs: Tensor, images: Tensor) -> Tuple[Tensor, ...]:
        logits = self.model.task_model(inputs, mode='tensor')
        if has_several_labels(self.model.task_model):
            return (logits.sigmoid(),)
        return (logits.softmax(dim=1),)

    def axes(self) -> Dict[str, Dict[int, str]]:
        axes = super().axes()
        return dict(axes, scores={0: 'batch'}) if axes else axes


class DeployableSegmentor(Deployable):
    """``labels`` are (N, H, W), uint8 (int64 of more than 256 classes), at the
    size of ``sr``; ``lr_labels`` are (N, h, w), at that of the LR images."""

    outputs = ('sr', 'labels', 'lr_labels')

    def predict(self, inputs: Tensor, images: Tensor) -> Tuple[Tensor, ...]:
        logits = self._logits(inputs)
        low = F.interpolate(  # as `rescale_prediction`
            logits,
            size=images.shape[-2:],
            mode='bilinear',
            align_corners=self.model.align_corners,
        )
        return self._label(logits), self._label(low)

    def _logits(self, inputs: Tensor) -> Tensor:
        """Of a segmentor of one class, probabilities."""
        shape = inputs.shape[-2:]
        metas = [dict(img_shape=shape, ori_shape=shape, pad_shape=shape)]
        logits = self.model.task_model.encode_decode(inputs, metas)
        return logits.sigmoid() if logits.shape[1] == 1 else logits

    def _label(self, logits: Tensor) -> Tensor:
        num = logits.shape[1]
        if num == 1:
            return (logits[:, 0] > self.model.decode_head.threshold).byte()
        labels = logits.max(dim=1).indices  # see `SRSegmentor`
        return labels.byte() if num <= 256 else labels

    def axes(self) -> Dict[str, Dict[int, str]]:
        axes = super().axes()
        if axes:
            for name, picture in (('labels', 'sr'), ('lr_labels', 'images')):
                batch, height, width = axes[picture].values()
                axes[name] = {0: batch, 1: height, 2: width}
        return axes


class DeployableSegmentorScores(DeployableSegmentor):
    """``scores`` are the classes' probabilities, (N, classes, H, W), at the
    size of ``sr``."""

    outputs = ('sr', 'scores')

    def predict(self, inputs: Tensor, images: Tensor) -> Tuple[Tensor, ...]:
        logits = self._logits(inputs)
        if logits.shape[1] == 1:
            return (logits,)
        # onnxruntime's softmax over channels takes six times as long
        powers = (logits - logits.amax(dim=1, keepdim=True)).exp()
        return (powers / powers.sum(dim=1, keepdim=True),)

    def axes(self) -> Dict[str, Dict[int, str]]:
        axes = DeployableSRNet.axes(self)
        return dict(axes, scores=axes['sr']) if axes else axes


class DeployableDetector(Deployable):
    """``boxes`` are (K, 4), left, top, right and bottom in pixels of the LR
    image, after NMS; ``scores`` and ``labels`` are (K,)."""

    outputs = ('sr', 'boxes', 'scores', 'labels')
    any_size = False

    def predict(self, inputs: Tensor, images: Tensor) -> Tuple[Tensor, ...]:
        from mmdet.structures import DetDataSample

        space = self.model.image_space
        size = tuple(int(side) for side in images.shape[-2:])
        sr_size = tuple(side * self.model.scale for side in size)
        (task_size,) = space.task_sizes([sr_size])
        if space.resize is not None:
            inputs = space.enlarge(inputs, [sr_size])
        else:  # the LR image is padded, then enlarged
            pre = space.data_preprocessor
            divisor = pre.pad_size_divisor
            low, right = (-side % divisor * self.model.scale for side in size)
            inputs = F.pad(inputs, (0, right, 0, low), value=pre.pad_value)
        shape = tuple(int(side) for side in inputs.shape[-2:])
        factors = task_size[1] / size[1], task_size[0] / size[0]
        sample = DetDataSample(
            metainfo=dict(
                img_shape=task_size,
                ori_shape=size,
                pad_shape=shape,
                batch_input_shape=shape,
                scale_factor=factors,
            )
        )
        (sample,) = self.model.task_model.predict(inputs, [sample])
        found = sample.pred_instances
        return found.bboxes, found.scores, found.labels

    def axes(self) -> Dict[str, Dict[int, str]]:
        return {name: {0: 'number'} for name in self.outputs[1:]}


DEPLOYABLES = dict(
    mmseg=DeployableSegmentor,
    mmdet=DeployableDetector,
    mmpretrain=DeployableClassifier,
)


def make_deployable(
    model: SRTaskModel, network: str = 'both', scores: bool = False
) -> DeployableSRNet:
    """What is exported of a model.

    Args:
        model (SRTaskModel): The model.
        network (str): ``both``, or ``sr_net`` for the SR network alone.
            Defaults to ``both``.
        scores (bool): Whether a segmentor gives probabilities in place of
            labels. Defaults to False.
    """
    if model.view == 'hr':
        raise ValueError(
            "model.view='hr': a model that predicts from HR images has "
            'nothing to do with LR images.'
        )
    kind = DEPLOYABLES[model.toolbox]
    if scores and kind is DeployableSegmentor:
        kind = DeployableSegmentorScores
    if network == 'sr_net':
        if model.sr_net is None:
            raise ValueError('model.sr_net is not set: there is none.')
        kind = DeployableSRNet
    elif hasattr(model.task_model, 'roi_head'):
        raise ValueError(
            f'{type(model.task_model).__name__} has two stages, and what is '
            'exported of these differs from PyTorch: take a detector of one '
            'stage, or the SR network alone (--network sr_net).'
        )
    return kind(model).eval()


def export_onnx(
    deployable: DeployableSRNet, path: str, images: Tensor
) -> None:
    """Write an ONNX file, with what is known of the model in its metadata.

    If ``deployable.any_size``, it takes batches of any number and size, else
    one image of the size of ``images``.

    Args:
        deployable (DeployableSRNet): Of :func:`make_deployable`.
        path (str): Where to.
        images (Tensor): An example, see :meth:`DeployableSRNet.forward`. A
            detector must find something in it.

    Raises:
        NotImplementedError: If PyTorch cannot export something in it.
        ValueError: If the detector finds nothing.
    """
    require_package('onnx', 'Export to ONNX')
    import onnx

    model = deployable.model
    with torch.no_grad():
        examples = deployable(images)
    if not all(len(example) for example in examples):
        raise ValueError(
            'The detector finds nothing in the example image, so that what it '
            'does with boxes cannot be recorded: give an image with objects '
            '(--image).'
        )
    with whole_file(path) as part:
        with warnings.catch_warnings(), torch.no_grad(), _traceable(model):
            # of Python numbers that a trace keeps: `check_onnx` looks at
            # others
            warnings.simplefilter('ignore')
            module = deployable
            if isinstance(deployable, DeployableDetector):
                # beforehand: during an export, mmdet does without thresholds
                module = torch.jit.trace(deployable, images, check_trace=False)
            _export(module, images, part, deployable)
        file = onnx.load(part)
        facts = collect_facts(model)
        onnx.helper.set_model_props(
            file, {key: json.dumps(value) for key, value in facts.items()}
        )
        onnx.save(file, part)


def collect_facts(model: SRTaskModel) -> Dict[str, Any]:
    """What :class:`OnnxInferencer` must know of a model, beside its networks.

    Returns:
        dict: The ``format`` of an ONNX file, see :mod:`.onnx_inferencer`;
        ``toolbox``, ``scale`` and ``view``; ``model.bands`` and the
        arguments of the config's ``LoadRasterFromFile`` (``loader``), or None;
        ``classes`` and ``palette``, or None; and by which score (``thr``) or
        how many (``topk``) an image has several labels, or None if it has one.
    """
    meta = getattr(model, 'dataset_meta', {})
    cfg = getattr(model, 'cfg', Config())
    bands = cfg.get('model', {}).get('bands')
    several = None
    if has_several_labels(model.task_model):
        head = model.task_model.head
        several = dict(thr=head.thr, topk=head.topk)
    return dict(
        format=FORMAT,
        toolbox=model.toolbox,
        scale=model.scale,
        view=model.view,
        bands=bands,
        loader=find_raster_loader(cfg),
        classes=meta.get('classes'),
        palette=meta.get('palette'),
        several_labels=several,
    )


def _export(
    module: nn.Module, images: Tensor, path: str, deployable: DeployableSRNet
) -> None:
    try:
        torch.onnx.export(
            module,
            (images,),
            path,
            input_names=['images'],
            output_names=list(deployable.outputs),
            dynamic_axes=deployable.axes(),
            opset_version=OPSET,
            **_old_exporter(),
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).partition('Please feel free')[0].strip()
        raise NotImplementedError(
            f'PyTorch cannot export this model. {reason}'
        ) from error


def check_onnx(
    deployable: DeployableSRNet, path: str, images: Tensor
) -> Dict[str, float]:
    """Largest differences of an ONNX file's outputs to PyTorch's.

    Args:
        deployable (DeployableSRNet): What was exported.
        path (str): The file.
        images (Tensor): See :meth:`DeployableSRNet.forward`.

    Returns:
        dict: A number for each output, of labels the share of those that
        differ; infinity if its shape differs, or the file does not take such
        images. Boxes whose scores are equal but for rounding may change
        places.

    Raises:
        NotImplementedError: If onnxruntime refuses the file.
    """
    require_package('onnxruntime', 'Checking an ONNX file')
    try:
        session = start_session(path)
    except Exception as error:  # onnxruntime's have no common base
        raise NotImplementedError(
            f'onnxruntime refuses what PyTorch exports of this model: {error}'
        ) from error
    with torch.no_grad():
        expected = [one.numpy() for one in deployable(images)]
    try:
        found = session.run(None, {'images': images.numpy()})
    except Exception:
        found = [np.empty(0)] * len(expected)
    if 'boxes' in deployable.outputs:
        found = _in_order_of(expected, found)
    return {
        name: _difference(one, other)
        for name, one, other in zip(deployable.outputs, found, expected)
    }


def save_weights(
    model: SRTaskModel, path: str, network: str = 'both', half: bool = False
) -> None:
    """Write weights as safetensors; their metadata has the config, the scale,
    and the names and colours of labels.

    Args:
        model (SRTaskModel): The model.
        path (str): Where to.
        network (str): ``both``, or one network's name, ``sr_net`` or
            ``task_model``, which then is not in the weights' names.
            Defaults to ``both``.
        half (bool): Whether in half precision. Defaults to False.
    """
    module = model if network == 'both' else getattr(model, network)
    weights = {
        name: _halve(weight) if half else weight
        for name, weight in module.state_dict().items()
    }
    weights = {
        name: weight.detach().cpu().clone().contiguous()
        for name, weight in weights.items()
    }
    metadata = dict(format='pt', network=network)
    if hasattr(model, 'cfg'):
        metadata['config'] = model.cfg.pretty_text
        facts = dict(dataset_meta=model.dataset_meta, scale=model.scale)
        metadata.update({key: json.dumps(facts[key]) for key in META})
    # its `save_file` makes files that nobody else may read
    content = save(weights, metadata)
    with whole_file(path) as part:
        with open(part, 'wb') as file:
            file.write(content)


def _halve(weight: Tensor) -> Tensor:
    """Where half precision can hold it: a variance may be too large."""
    half = weight.half()
    held = weight.is_floating_point() and half.isfinite().all()
    return half if held else weight


def _in_order_of(
    expected: List[np.ndarray], found: List[np.ndarray]
) -> List[np.ndarray]:
    """What was found in the order of what was expected: ``sr``, and boxes,
    scores and labels, each by its nearest."""
    sr, *found = found
    same = all(a.shape == b.shape for a, b in zip(found, expected[1:]))
    if not same or not len(found[0]):
        return [sr, *found]
    one, other = (
        np.column_stack([*values]) for values in (expected[1:], found)
    )
    nearest = np.abs(one[:, None] - other).sum(axis=2).argmin(axis=1)
    if len(np.unique(nearest)) < len(nearest):
        return [sr, *found]
    return [sr, *(values[nearest] for values in found)]


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float('inf')
    if np.issubdtype(one.dtype, np.integer):
        return float((one != other).mean()) if one.size else 0.0
    return float(np.abs(one - other).max(initial=0))


@contextmanager
def _traceable(model: SRTaskModel) -> Iterator[None]:
    """What the toolboxes do in Python, in operators that ONNX has; weights
    that are made of others are constants."""
    with ExitStack() as stack:

        def replace(owner, name, value):
            stack.enter_context(patch.object(owner, name, value, create=True))

        if hasattr(model.sr_net, 'merge_tail'):
            replace(model.sr_net, 'tail', model.sr_net.merge_tail())
        # its unflatten keeps the example's size
        replace(F, '_in_projection_packed', _project)
        if 'mmcv.ops.nms' in sys.modules:
            replace(sys.modules['mmcv.ops.nms'], 'nms', _nms)
        if 'mmdet.models.utils.misc' in sys.modules:
            # a slice may exceed what there is; a trace would keep the number
            misc = sys.modules['mmdet.models.utils.misc']
            replace(misc, 'min', lambda limit, number: limit)
        if 'mmseg.models.utils.wrappers' in sys.modules:
            # sizes that follow the input's
            wrappers = sys.modules['mmseg.models.utils.wrappers']
            replace(wrappers, 'int', _to_int)
        yield


def _to_int(number: Union[int, float, Tensor]) -> Union[int, Tensor]:
    return number.long() if isinstance(number, Tensor) else int(number)


def _project(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Optional[Tensor] = None
) -> List[Tensor]:
    """As in :class:`torch.nn.MultiheadAttention`."""
    biases = (None,) * 3 if b is None else b.chunk(3)
    return [*map(F.linear, (q, k, v), w.chunk(3), biases)]


def _nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    max_num: int = -1,
    **kwargs,
) -> Tuple[Tensor, Tensor]:
    """As mmcv's."""
    keep = nms(boxes, scores, iou_threshold)
    if max_num > 0:
        keep = keep[:max_num]
    return torch.cat([boxes[keep], scores[keep, None]], dim=1), keep


def _old_exporter() -> dict:
    """The one that traces, by its name in later releases.

    PyTorch 2.14 still has it, and says that it will go. What is to replace it
    stops at mmdet's detectors, and fixes sizes that are computed in Python,
    as all that is exported here has them (2.14.1, onnxscript 0.7.2).
    """
    parameters = inspect.signature(torch.onnx.export).parameters
    return dict(dynamo=False) if 'dynamo' in parameters else {}
