from functools import partial
from typing import Dict, List, Optional, Sequence, Union

import torch
import torch.nn as nn
from torch import Tensor

from sr4ir_mm.registry import MODELS, TRANSFORMS, require_package
from sr4ir_mm.utils.bands import Bands, read_bands

from .band_networks import build_for_bands
from .degradations import build_degradation
from .frozen import FrozenCopy
from .image_space import ImageSpace, Size, swaps_channels
from .layout import arrange_channels
from .lending import Lender
from .phase import Part
from .phased_model import NETWORKS, PhasedModel
from .sr_nets import build_sr_net
from .taps import read_taps
from .views import Views


class SRTaskModel(PhasedModel):
    """A super-resolution network in front of a recognition network.

    This is the method; :class:`SRSegmentor` and its siblings adapt it to a
    toolbox. An alternating loop (``sr4ir_mm.AlternatingEpochTrainLoop``)
    drives it through its phases.

    Args:
        task_model (dict): Config of the task model, unchanged from its
            toolbox.
        sr_net (dict, optional): Config of the SR network, images in [0, 1] to
            images in [0, 1], e.g. ``sr4ir_mm.EDSRNet``. ``init_cfg`` works
            here for every network, also for those that do not take it
            themselves. Not needed by recipes that never look at view ``sr``.
        scale (int): Factor between LR and HR. Defaults to 4.
        phases (Sequence[dict]): The recipe: configs of :class:`Phase`, in the
            order in which each iteration runs them. Only training needs it.
        view (str): What the task model predicts from: ``sr``, ``bilinear``,
            ``hr`` or ``shared``. Defaults to ``sr``.
        input_is_lr (bool): Whether the images to predict from are real LR
            images, which are not degraded. Predictions come back in their own
            coordinates. Not for training. Defaults to False.
        input_is_rgb (bool): Whether the data set's images are loaded as RGB,
            as mmpretrain's CIFAR is; OpenMMLab loads files as BGR.
            Defaults to False.
        bands (dict, optional): What the bands of images are, if they are not
            RGB of 8 bits: ``number``, ``rgb`` to look at and ``range``, see
            :func:`read_bands`. They stay in the order in which they are
            loaded (:class:`LoadRasterFromFile`). Both networks take as many,
            and fit weights for RGB to them. Mean and std of
            ``data_preprocessor`` are of each band, in the file's values; not
            given, they are .45 and .225 of its range. Defaults to None.
        degradation (dict | Sequence[dict]): HR -> LR, in one or several steps
            (:class:`Degradation`). Defaults to bicubic without antialiasing.
        cqmix (dict): Makes the view ``cqmix``. Defaults to an 8x8 grid.
        teacher (str, optional): Weights of a task model that has learnt from
            HR images alone, such as a checkpoint of recipe ``h2t``: what
            :class:`FixedTDPLoss`, :class:`FeatureMatchingLoss` and
            :class:`SRTFD` look through. Defaults to None.
        anchor (str, optional): Weights of an SR network, which makes the view
            ``anchor``. Defaults to None.
        real_fake_branch (dict, optional): What makes the task model a
            discriminator, for :class:`AdversarialLoss`; it becomes a part of
            the task model. Defaults to None.
        tile (int, optional): Side, in LR pixels, of the pieces in which the SR
            network, in eval mode, sees an image, for images that are too
            large for its memory (:func:`super_resolve_in_tiles`).
            Defaults to None: in one piece.
        data_preprocessor (dict, optional): The task model's, for configs that
            keep it outside of the model.
        init_cfg (dict, optional): Initialization config.
        pretrained, train_cfg: Ignored. The toolboxes' inferencers set them to
            None in any model config.
    """

    # The package of the task model, and its default scope.
    toolbox: str
    # The class of it that all task models inherit.
    task_model_base: str
    # How images are continued for the SR network: see ImageSpace.
    padding = 'replicate'

    def __init__(
        self,
        task_model: dict,
        sr_net: Optional[dict] = None,
        scale: int = 4,
        phases: Sequence[dict] = (),
        view: str = 'sr',
        input_is_lr: bool = False,
        input_is_rgb: bool = False,
        bands: Optional[dict] = None,
        degradation: Union[dict, Sequence[dict]] = dict(
            type='sr4ir_mm.Bicubic'
        ),
        cqmix: dict = dict(type='sr4ir_mm.CQMix'),
        teacher: Optional[str] = None,
        anchor: Optional[str] = None,
        real_fake_branch: Optional[dict] = None,
        tile: Optional[int] = None,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
        pretrained: None = None,
        train_cfg: None = None,
    ) -> None:
        require_package(self.toolbox, type(self).__name__)
        _check_arguments(view, scale, tile, sr_net)
        task_model = dict(task_model)
        task_model.setdefault('_scope_', self.toolbox)
        if data_preprocessor is not None:
            task_model.setdefault('data_preprocessor', data_preprocessor)
        of_images = read_bands(bands)
        if bands is None:
            network = MODELS.build(task_model)
        else:
            network = build_for_bands(task_model, of_images)
        _check_task_model(network, self)
        swaps = swaps_channels(task_model.get('data_preprocessor'))
        loads_rgb = input_is_rgb or bands is not None
        image_space = ImageSpace(
            network.data_preprocessor,
            is_rgb=swaps != loads_rgb,
            padding=self.padding,
            bands=of_images,
            loads_rgb=loads_rgb,
        )
        super().__init__(image_space, init_cfg)
        self.sr_net = build_sr_net(sr_net, of_images)
        self.task_model = network
        if real_fake_branch is not None:
            self.task_model.real_fake_branch = MODELS.build(real_fake_branch)
        self.scale = scale
        self.view = view
        self._teacher = FrozenCopy('task_model', teacher, 'model.teacher')
        self._anchor = FrozenCopy('sr_net', anchor, 'model.anchor')
        self.tile = tile
        self.input_is_lr = input_is_lr
        self.degradation = build_degradation(degradation, scale, of_images)
        self.cqmix = TRANSFORMS.build(cqmix)
        self.lender = Lender()
        self.layouts = {
            name: arrange_channels(getattr(self, name)) for name in NETWORKS
        }
        self.set_phases(phases)

    @property
    def image_space(self) -> ImageSpace:
        """The map between the task model's input and images in [0, 1]."""
        return self.data_preprocessor

    @property
    def bands(self) -> Bands:
        """What the bands of images are."""
        return self.image_space.bands

    # Methods, since PyTorch's tracing asks for every property.

    def teacher(self) -> nn.Module:
        """The frozen task model that has learnt from HR images alone."""
        return self._teacher.of(self.task_model)

    def anchor(self) -> nn.Module:
        """The frozen SR network of view ``anchor``."""
        return self._anchor.of(self.sr_net)

    # ------------------------------------------------------------- training

    def make_views(self, data_batch: dict) -> Views:
        """Preprocess a batch of the training data loader, once for all
        phases."""
        if self.input_is_lr:
            raise ValueError(
                'model.input_is_lr=True is for prediction: training needs '
                'HR images.'
            )
        return Views(self, **self.data_preprocessor(data_batch, True))

    # -------------------------------------------------------------- forward

    def forward(
        self,
        inputs: Union[Tensor, Part],
        data_samples: Optional[list] = None,
        mode: str = 'tensor',
    ) -> Union[Dict[str, Tensor], list]:
        """
        Args:
            inputs (Tensor | Part): HR batch, task-normalised, (N, C, H, W).
                In mode ``loss``, a part of a phase, which knows its views.
            data_samples (list, optional): The toolbox's data samples.
            mode (str): ``loss``, ``predict`` or ``tensor``, as in the
                toolboxes. The latter two degrade the batch and look at
                ``self.view`` of it.

        Returns:
            dict | list: What the task model returns. In mode ``loss``, the
            part's losses.
        """
        if mode == 'loss':
            return inputs(self)
        views = Views(self, inputs, data_samples)
        if mode == 'predict':
            return self.predict(views, self.view)
        with self._lent(views.task_input(self.view)) as inputs:
            return self.task_model(inputs, self.task_samples(views), mode=mode)

    def predict(self, views: Views, view: str) -> list:
        """Let the task model predict from a view of the batch.

        Each data sample returned also has, for metrics and panels,
        ``pred_img``, the view that it was predicted from (``sr`` for
        ``shared``), and, unless the input is LR, ``gt_img``, the HR image, and
        beside an SR image ``bilinear_img``: in [0, 1], (C, h, w), without
        padding; and ``bands``, what their bands are, if they are not RGB.
        """
        with self._lent(views.task_input(view)) as inputs:
            predicted = self.task_model.predict(
                inputs, self.task_samples(views)
            )
        samples = views.data_samples or predicted
        picture = views['sr' if view == 'shared' else view]
        for i, sample in enumerate(samples):
            h, w = views.sizes[i]
            # not what `rescale_sample` made of the labels
            new = {
                k: v
                for k, v in predicted[i].items()
                if k.startswith(('pred_', 'seg_logits')) or k not in sample
            }
            new['pred_img'] = picture[i, :, :h, :w]
            if not views.is_lr:
                new['gt_img'] = views['hr'][i, :, :h, :w]
                if view in ('sr', 'shared'):
                    new['bilinear_img'] = views['bilinear'][i, :, :h, :w]
            sample.set_data(new)
            if not self.bands.are_pictures:
                sample.set_metainfo(dict(bands=self.bands))
        return samples

    def task_loss(self, views: Views, view: str) -> Dict[str, Tensor]:
        """The task model's losses on a view of the batch, or on several of
        them, joined by ``+``, as one batch."""
        samples = [
            sample
            for _ in view.split('+')
            for sample in self.task_samples(views)
        ]
        with self._lent(views.task_input(view)) as inputs:
            return self.task_model.loss(inputs, samples)

    def _lent(self, inputs: Tensor):
        """What the task model may look at, see :class:`Lender`."""
        return self.lender.lend(self.task_model, inputs)

    def task_samples(self, views: Views) -> Optional[list]:
        """The data samples, rescaled to the size at which the task model sees
        the images."""
        samples = views.data_samples
        if samples is None or not (views.is_lr or self.image_space.resize):
            return samples
        if views.task_samples is None:
            views.task_samples = [
                self.rescale_sample(sample.clone(), size, views.task_shape)
                for sample, size in zip(samples, views.task_sizes)
            ]
        return views.task_samples

    def rescale_sample(self, sample, size: Size, batch_shape: Size):
        """Adapt a data sample to its image having been resized to ``size``
        and padded to ``batch_shape`` (height, width)."""
        sample.set_metainfo(dict(img_shape=size, pad_shape=batch_shape))
        return sample

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """The task model's feature maps of ``self.view`` of a batch, as in
        the toolboxes, whose scripts call it.

        Args:
            inputs (Tensor): HR batch, task-normalised, (N, C, H, W).
        """
        views = Views(self, inputs)
        with self._lent(views.task_input(self.view)) as inputs:
            return self.extract_maps(inputs)

    def extract_maps(
        self, inputs: Tensor, network: Optional[nn.Module] = None
    ) -> Sequence[Tensor]:
        """A task model's feature maps, without its heads.

        Args:
            inputs (Tensor): Task-normalised, (N, C, h, w).
            network (nn.Module, optional): The task model. Defaults to the one
                that is trained.
        """
        return (network or self.task_model).extract_feat(inputs)

    @property
    def maps_module(self) -> nn.Module:
        """The part of the task model that gives its feature maps."""
        neck = getattr(self.task_model, 'neck', None)
        return self.task_model.backbone if neck is None else neck

    def features(
        self,
        views: Views,
        view: str,
        taps: Sequence[Union[int, str]],
        network: Optional[nn.Module] = None,
    ) -> List[Tensor]:
        """A task model's features of a view of the batch, in eval mode.

        No more of it runs than the taps need.

        Args:
            views (Views): The batch.
            view (str): Which view of it.
            taps (Sequence[int | str]): Either indices of the feature maps that
                backbone and neck return, or names of the task model's
                modules, such as ``decode_head.fusion_conv``.
            network (nn.Module, optional): The task model, or its teacher.
                Defaults to the one that is trained.

        Raises:
            ValueError: If there is no such map or module, it is no tensor, or
                no gradient leads from it to the view.
        """
        network = network or self.task_model
        with self.lender.lend(network, views.task_input(view)) as inputs:
            return read_taps(
                network,
                partial(self.extract_maps, network=network),
                taps,
                inputs,
                self.task_samples(views),
            )

    @torch.no_grad()
    def teacher_features(
        self, views: Views, view: str, taps: Sequence[Union[int, str]]
    ) -> List[Tensor]:
        """The teacher's features of a view that does not change, ``hr`` or
        ``anchor``: once a batch, for all losses of all phases."""
        kept = views.kept.setdefault(view, {})
        if not all(tap in kept for tap in taps):
            others = [
                tap
                for loss in self.modules()
                for tap in getattr(loss, 'teacher_taps', ())
                if isinstance(tap, str) == isinstance(taps[0], str)
            ]
            every = list(dict.fromkeys([*taps, *others]))
            found = self.features(views, view, every, self.teacher())
            kept.update(zip(every, found))
        return [kept[tap] for tap in taps]


def _check_arguments(
    view: str, scale: int, tile: Optional[int], sr_net: Optional[dict]
) -> None:
    if view not in ('sr', 'bilinear', 'hr', 'shared'):
        raise ValueError(
            f"model.view={view!r}: expected 'sr', 'bilinear', 'hr' or "
            "'shared', which the task model can predict from."
        )
    if not isinstance(scale, int) or scale < 1:
        raise ValueError(
            f'model.scale={scale!r}: expected a whole number, 1 or more.'
        )
    if tile is not None and (not isinstance(tile, int) or tile < 1):
        raise ValueError(f'model.tile={tile!r}: expected LR pixels, or None.')
    if view in ('sr', 'shared') and sr_net is None:
        raise ValueError(f'model.view={view!r}, but model.sr_net is not set.')


def _check_task_model(task_model: nn.Module, wrapper: SRTaskModel) -> None:
    bases = [base.__name__ for base in type(task_model).__mro__]
    if wrapper.task_model_base not in bases:
        raise ValueError(
            f'model.task_model.type={bases[0]}: {type(wrapper).__name__} '
            f'takes any {wrapper.task_model_base} of {wrapper.toolbox}, which '
            'reads single images and predicts their labels.'
        )
