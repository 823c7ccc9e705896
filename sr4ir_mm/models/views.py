import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .sr_nets import super_resolve
from .tiling import super_resolve_in_tiles

if TYPE_CHECKING:
    from .sr_task_model import SRTaskModel

VIEWS = ('hr', 'lr', 'bilinear', 'sr', 'cqmix', 'half', 'anchor', 'shared')
# What a network made: stale as soon as that network has been updated.
_FROM_NETWORK = ('shared', 'sr', 'cqmix', 'half')


def in_one_batch(view: str) -> bool:
    """Whether a task model sees several kinds of images at once."""
    return '+' in view or view == 'half'


def shares_layers(sr_net: Optional[nn.Module]) -> bool:
    """Whether a task model can read the first layers of an SR network."""
    return hasattr(sr_net, 'extract_shared')


class Views:
    """The pictures of one batch that networks and losses can look at.

    ``views[name]`` is in [0, 1], (N, C, H, W), made when it is first asked
    for: RGB, or the bands of ``model.bands``. Images whose sides differ, or
    are no multiples of the scale, are continued at the bottom and at the
    right; ``sizes`` are their own.

    - ``hr``: the dataset's images. There are none if they are LR already
      (``model.input_is_lr``).
    - ``lr``: their degraded copy, (N, C, H / scale, W / scale), or what is in
      ``lr`` of the data samples (:class:`PackLR`).
    - ``bilinear``: ``lr`` enlarged bilinearly to the size of ``hr``.
    - ``sr``: the SR network's output for ``lr``, of the size of ``hr``.
    - ``cqmix``: patch-wise mixture of ``sr`` and ``hr`` (:class:`CQMix`).
    - ``half``: the first half of the batch as in ``sr``, the rest as in
      ``hr``; an odd one out is SR. The SR network runs on its half alone.
    - ``anchor``: what the frozen SR network ``model.anchor`` makes of ``lr``.
    - ``shared``: no picture, but what the first layers of the SR network make
      of ``lr``, (N, shared_channels, H / scale, W / scale), if it is a network
      that shares them (:class:`FSRCNN`, :class:`WDSR`).

    Args:
        model (SRTaskModel): The model whose networks make the views.
        inputs (Tensor): The dataset's images, task-normalised, (N, C, h, w).
        data_samples (list, optional): Labels and meta information.
    """

    def __init__(
        self,
        model: 'SRTaskModel',
        inputs: Tensor,
        data_samples: Optional[list] = None,
    ) -> None:
        self.model = model
        self._layouts = model.layouts
        self.inputs = self._arrange(inputs, 'task_model')
        self.data_samples = data_samples
        self.is_lr = model.input_is_lr
        shape = tuple(inputs.shape[-2:])
        self._input_sizes = (
            [shape] * len(inputs)
            if data_samples is None
            else [
                tuple(sample.metainfo.get('img_shape', shape)[:2])
                for sample in data_samples
            ]
        )
        scale = model.scale if self.is_lr else 1
        canvas_shape = tuple(side * scale for side in inputs.shape[2:])
        # Height and width of `task_input`.
        self.task_shape: Tuple[int, int] = model.image_space.task_shape(
            self.sizes, canvas_shape
        )
        # how LR was made, for SR networks that are told
        self._told = {}
        # of SRTaskModel.task_samples, the same for all views
        self.task_samples: Optional[list] = None
        # the teacher's features of views that do not change, by view and tap
        self.kept: Dict[str, Dict[Union[int, str], Tensor]] = {}
        self._made = {}
        self._task_inputs = {}
        self._pieces: List['Views'] = []

    @property
    def sizes(self) -> List[Tuple[int, int]]:
        """Height and width of each image in ``hr``, ``sr`` and the like."""
        if not self.is_lr:
            return self._input_sizes
        scale = self.model.scale
        return [(h * scale, w * scale) for h, w in self._input_sizes]

    @property
    def task_sizes(self) -> List[Tuple[int, int]]:
        """Height and width of each image as the task model sees it."""
        return self.model.image_space.task_sizes(self.sizes)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            view = getattr(self, f'_make_{name}')()
            self._made[name] = self._arrange(view, 'sr_net')
        return self._made[name]

    def task_input(self, name: str) -> Tensor:
        """A view as the task model sees it: task-normalised, (N, C, h, w);
        features, which know no image space, as they are; and several views,
        joined by ``+``, one after the other in a single batch."""
        if '+' in name:
            return torch.cat([self.task_input(n) for n in name.split('+')])
        if name == 'lr':
            raise ValueError(
                "View 'lr' is too small for the labels: name 'bilinear', "
                'which has their size, in model.view or TaskLoss.views.'
            )
        if name == 'shared':
            return self[name]
        space = self.model.image_space
        if name == 'hr' and space.resize is None:
            return self.inputs
        if name not in self._task_inputs:
            inputs = space.from_image(
                self[name], self.sizes, self._canvas(), self.task_shape
            )
            self._task_inputs[name] = self._arrange(inputs, 'task_model')
        return self._task_inputs[name]

    @contextmanager
    def cut(self, name: str) -> Iterator[Tuple[Tensor, Tensor]]:
        """Inside, gradients end at what the task model sees of a view.

        Yields:
            tuple[Tensor, Tensor]: Its task input as it is, and the leaf in
            its place.
        """
        inputs = self.task_input(name)
        leaf = inputs.detach().requires_grad_()
        self._task_inputs[name] = leaf
        try:
            yield inputs, leaf
        finally:
            self._task_inputs[name] = inputs

    def fresh(self) -> 'Views':
        """The same batch, of which nothing has been made yet."""
        return Views(self.model, self.inputs, self.data_samples)

    def split(self, size: int) -> List['Views']:
        """The batch in pieces of up to ``size`` images, as equal as can be,
        each padded as it is in the batch."""
        shared = {name: self[name] for name in ('hr', 'lr')}
        number = len(self.inputs)
        size = math.ceil(number / math.ceil(number / size))
        for start in range(0, number, size):
            some = slice(start, start + size)
            samples = self.data_samples and self.data_samples[some]
            piece = Views(self.model, self.inputs[some], samples)
            piece.task_shape = self.task_shape
            piece._made = {name: view[some] for name, view in shared.items()}
            piece._told = {k: value[some] for k, value in self._told.items()}
            piece.kept = {
                view: {tap: feature[some] for tap, feature in kept.items()}
                for view, kept in self.kept.items()
            }
            self._pieces.append(piece)
        return self._pieces

    def refresh(self, keep: bool = False) -> None:
        """Forget the views that a network made, or, to ``keep`` them, only
        how it made them."""
        pieces, self._pieces = self._pieces or [self], []
        for view, kept in list(pieces[0].kept.items()):
            self.kept[view] = {
                tap: torch.cat([piece.kept[view][tap] for piece in pieces])
                for tap in kept
            }
        for name in _FROM_NETWORK:
            views = [piece._made.pop(name, None) for piece in pieces]
            self._task_inputs.pop(name, None)
            if keep and None not in views:
                self._made[name] = torch.cat([v.detach() for v in views])

    def _arrange(self, images: Tensor, network: str) -> Tensor:
        return images.contiguous(memory_format=self._layouts[network])

    def _canvas(self) -> Tensor:
        if not self.is_lr:
            return self.inputs
        return F.interpolate(self.inputs, scale_factor=self.model.scale)

    def _make_hr(self) -> Tensor:
        if self.is_lr:
            raise ValueError(
                "View 'hr' is asked for, but with model.input_is_lr=True the "
                'images are LR.'
            )
        return self.model.image_space.to_image(
            self.inputs, self.sizes, self.model.scale
        )

    def _make_lr(self) -> Tensor:
        if self.is_lr:
            return self.model.image_space.to_image(
                self.inputs, self._input_sizes, 1
            )
        scale = self.model.scale
        height, width = min(self.sizes, key=min)
        if min(height, width) < scale:
            files = [
                sample.metainfo.get('img_path')
                for sample in self.data_samples or []
            ]
            raise ValueError(
                f'An image of {width}x{height} pixels is smaller than '
                f'model.scale={scale}: leave it out or resize it in the '
                f'pipeline. Batch: {files}'
            )
        samples = self.data_samples or []
        if samples and all('lr' in sample for sample in samples):
            return self.model.image_space.stack_lr(samples, self.sizes, scale)
        lr = self.model.degradation(self['hr'], self.sizes)
        self._told = self.model.degradation.told
        return lr

    def _make_bilinear(self) -> Tensor:
        # align_corners as in the authors' code for their LR baseline.
        return F.interpolate(
            self['lr'],
            scale_factor=self.model.scale,
            mode='bilinear',
            align_corners=True,
        )

    def _make_sr(self) -> Tensor:
        if self.model.sr_net is None:
            raise ValueError(
                "View 'sr' is asked for, but model.sr_net is not set."
            )
        network, lr = self.model.sr_net, self['lr']
        if self.model.tile is not None and not network.training:
            return super_resolve_in_tiles(
                self._super_resolve,
                lr,
                self.model.scale,
                self.model.tile,
                # SwinIR's
                window=getattr(network, 'window_size', 1),
            )
        return self._super_resolve(lr)

    def _super_resolve(
        self, lr: Tensor, network: Optional[nn.Module] = None
    ) -> Tensor:
        """View ``lr``, or a piece of it -> the same of ``sr``, by the SR
        network, or another."""
        is_anchor = network is not None
        network = network or self.model.sr_net
        *batch, height, width = lr.shape
        scale = self.model.scale
        if lr is self['lr'] and shares_layers(network) and not is_anchor:
            # once for both views: BatchNorm counts every pass
            with self.model.lender.lend(network, lr) as lent:
                sr = network.reconstruct(self['shared'], lent)
        else:
            is_told = getattr(network, 'is_told_degradation', False)
            told = self._told if is_told else {}
            # networks of windows reflect what a window lacks, of an image
            # that is as large as one
            window = getattr(network, 'window_size', 1)
            low, right = (_lacking(side, window) for side in (height, width))
            # a trace is of images of any size
            pads = window > 1 and (torch.jit.is_tracing() or low or right)
            if pads:
                lr = F.pad(lr, (0, right, 0, low), mode='replicate')
            sr = super_resolve(network, lr, self.model.lender, **told)
            if pads:
                sr = sr[..., : height * scale, : width * scale]
        if sr.shape != (*batch, height * scale, width * scale):
            raise ValueError(
                f'model.sr_net turns {tuple(lr.shape)} into '
                f'{tuple(sr.shape)}: expected the same bands, larger by '
                f'model.scale={scale}.'
            )
        return sr.to(lr.dtype)  # pictures are exact, in mixed precision too

    def _make_half(self) -> Tensor:
        number = (len(self.inputs) + 1) // 2
        told = self._told
        self._told = {key: value[:number] for key, value in told.items()}
        sr = self._super_resolve(self['lr'][:number])
        self._told = told
        return torch.cat([sr, self['hr'][number:]])

    @torch.no_grad()
    def _make_anchor(self) -> Tensor:
        return self._super_resolve(self['lr'], self.model.anchor())

    def _make_shared(self) -> Tensor:
        if not shares_layers(self.model.sr_net):
            raise ValueError(
                "View 'shared' is asked for, but model.sr_net="
                f'{type(self.model.sr_net).__name__} shares no layers: take '
                'sr4ir_mm.FSRCNN or sr4ir_mm.WDSR.'
            )
        network = self.model.sr_net
        with self.model.lender.lend(network, self['lr']) as lr:
            return network.extract_shared(lr)

    def _make_cqmix(self) -> Tensor:
        return self.model.cqmix(self['sr'], self['hr'])


def _lacking(side: int, whole: int) -> int:
    """How much a side, in a trace a tensor, lacks of a whole window."""
    lacks = whole - side
    return lacks.clamp(min=0) if isinstance(lacks, Tensor) else max(lacks, 0)
