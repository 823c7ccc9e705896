import logging
import os
import os.path as osp
import sys
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from rich.progress import track

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.mistakes import explain
from sr4ir_mm.visualization import to_uint8

from .model import init_model
from .predictions import rescale_prediction, to_plain
from .sources import ImageType, InputsType, Video, find_inputs, read_image
from .toolboxes import (
    build_pen,
    build_pipeline,
    draw_result,
    use_sliding_windows,
)
from .writer import ResultWriter


class SRInferencer(BaseInferencer):
    """Super-resolve LR images and predict from them: segmentation, detection
    or classification, as the checkpoint has it.

    Options and results are those of the toolboxes' inferencers
    (``MMSegInferencer``, ``DetInferencer``, ``ImageClassificationInferencer``)
    where these agree.

    Args:
        model (str | Config, optional): The config. Defaults to the one inside
            the checkpoint (:func:`init_model`). Without ``weights``, it is
            what these are.
        weights (str, optional): The checkpoint: path, address, or name of a
            model of the zoo.
        device (str, optional): Defaults to the GPU, if there is one.
        tile (int, optional): For images that are too large for the memory: the
            SR network sees them in pieces of this side, in LR pixels
            (:func:`super_resolve_in_tiles`), and a segmentor in mmseg's
            sliding windows, of the same side. Defaults to None.
        show_progress (bool): Whether to show a progress bar.
            Defaults to True.
        cfg_options (dict, optional): Override settings of the config.

    Examples:
        >>> inferencer = SRInferencer('sign-digits-x4')  # of the model zoo
        >>> inferencer = SRInferencer(weights='work_dirs/voc/epoch_100.pth')
        >>> result = inferencer('photo.jpg')
        >>> result['predictions'][0], result['sr'][0]
        >>> inferencer('FOLDER', out_dir='outputs', batch_size=8)
    """

    preprocess_kwargs = {'hr'}
    forward_kwargs = set()
    visualize_kwargs = {'return_vis', 'show', 'wait_time', 'pred_score_thr'}
    postprocess_kwargs = {'coordinates'}

    model: SRTaskModel

    def __init__(
        self,
        model: Union[str, Config, None] = None,
        weights: Optional[str] = None,
        device: Optional[str] = None,
        tile: Optional[int] = None,
        show_progress: bool = True,
        cfg_options: Optional[dict] = None,
    ) -> None:
        if weights is None:
            if not isinstance(model, str) or model.endswith('.py'):
                raise ValueError('SRInferencer needs weights=CHECKPOINT.')
            model, weights = None, model
        options = dict(cfg_options or {})
        if tile is not None:
            options['model.tile'] = tile
        # Not by the base class, which has no scope before it has a config, and
        # would load weights that do not fit.
        self.model = init_model(weights, model, device, options)
        self.cfg = self.model.cfg
        self.show_progress = show_progress
        self.collate_fn = pseudo_collate
        self.pipeline = self._init_pipeline(self.cfg)
        self.visualizer = build_pen(self.cfg, self.model)
        if tile is not None and self.model.toolbox == 'mmseg':
            use_sliding_windows(self.model, tile * self.model.scale)
        self.skipped: Dict[str, str] = {}

    def _init_pipeline(self, cfg: Config) -> Dict[bool, Callable]:
        """Of HR (True) and of LR images."""
        return {
            hr: build_pipeline(cfg, self.model.toolbox, hr)
            for hr in (True, False)
        }

    def __call__(
        self,
        inputs: InputsType,
        return_datasamples: bool = False,
        batch_size: int = 1,
        return_sr: bool = True,
        **kwargs,
    ) -> dict:
        """Predict from all inputs, and return it all.

        Args:
            inputs (str | Path | int | np.ndarray | Sequence): See
                :func:`find_inputs`.
            return_datasamples (bool): Whether predictions are the toolbox's
                data samples. Defaults to False.
            batch_size (int): How many neighbouring images of one size go
                through the networks at once. Defaults to 1.
            return_sr (bool): Whether to return the SR images.
                Defaults to True.
            **kwargs: See :meth:`stream`.

        Returns:
            dict: ``predictions``, one for each image: of a segmentor, the
            label of each pixel, (h, w); of a detector, a dict of ``bboxes``,
            ``scores``, ``labels``, ``label_names`` (and ``masks``); of a
            classifier, a dict of ``pred_label``, ``pred_class``,
            ``pred_score``, ``pred_scores``, where the first three are lists
            if an image may have several labels. ``sr`` and, if asked for,
            ``visualization``: RGB, uint8, (H, W, 3). ``skipped``: the reason
            by the name of each input that could not be predicted from.
        """
        results = dict(predictions=[], visualization=[], sr=[])
        for result in self.stream(
            inputs, batch_size, return_datasamples, **kwargs
        ):
            results['predictions'].append(result['prediction'])
            if result['visualization'] is not None:
                results['visualization'].append(result['visualization'])
            if return_sr:
                results['sr'].append(result['sr'])
        return dict(results, skipped=self.skipped)

    def stream(
        self,
        inputs: InputsType,
        batch_size: int = 1,
        return_datasamples: bool = False,
        out_dir: str = '',
        no_save_vis: bool = False,
        no_save_sr: bool = False,
        no_save_pred: bool = False,
        **kwargs,
    ) -> Iterator[dict]:
        """Predict image by image, in the memory of a batch.

        Args:
            inputs (str | Path | int | np.ndarray | Sequence): See
                :func:`find_inputs`.
            batch_size (int): See :meth:`__call__`. Defaults to 1.
            return_datasamples (bool): See :meth:`__call__`.
            out_dir (str): Folder for ``vis``, ``sr`` and ``pred``, see
                :class:`ResultWriter`. Defaults to '': nothing is written.
            no_save_vis (bool): Not to write the first of these.
            no_save_sr (bool): Not to write the second.
            no_save_pred (bool): Not to write the third.
            hr (bool): Whether the images are HR, to be degraded first, as in
                the config. Defaults to False: they are LR.
            coordinates (str): Of what is predicted: ``input`` for the image as
                it is given, ``sr`` for the SR image. Defaults to ``input``.
            return_vis (bool): Whether to return drawings. Defaults to False.
            pred_score_thr (float): Score from which on boxes are drawn.
                Defaults to 0.3.
            show (bool): Whether to show drawings in a window.
                Defaults to False.
            wait_time (float): Seconds to show one; 0 waits for a key, but in
                videos. Defaults to 0.

        Yields:
            dict: ``name``, ``prediction``, ``lr``, ``sr`` and
            ``visualization``, as in :meth:`__call__`.

        Raises:
            ValueError: If there is nothing that can be predicted from.
        """
        pre, _, vis, post = self._dispatch_kwargs(**kwargs)
        self._check(**pre, **vis, **post)
        source = find_inputs(inputs)
        video = source if isinstance(source, Video) else None
        writer = ResultWriter(
            out_dir, source, not no_save_vis, not no_save_sr, not no_save_pred
        )
        if 'visualization' in writer.pictures:
            vis['return_vis'] = True
        if video is not None:
            vis['wait_time'] = vis.get('wait_time') or 0.001
        self.skipped = {}
        num = 0
        with writer:
            for batch in self.preprocess(source, batch_size, **pre):
                for sample, result in self._process(batch, vis, post):
                    writer.write(result)
                    if return_datasamples:
                        result['prediction'] = sample
                    yield result
                    num += 1
        if num == 0:
            name, reason = next(iter(self.skipped.items()))
            raise ValueError(
                f'None of {len(self.skipped)} image(s) could be predicted '
                f'from. {name}: {reason}'
            )

    def _check(
        self,
        hr: bool = False,
        coordinates: str = 'input',
        show: bool = False,
        **kwargs,
    ) -> None:
        if coordinates not in ('input', 'sr'):
            raise ValueError(
                f"coordinates={coordinates!r}: expected 'input' or 'sr'."
            )
        if self.model.view == 'hr' and not hr:
            raise ValueError(
                "This model predicts from HR images (model.view='hr'), and "
                'makes none of LR images: say hr=True (--hr) for HR images.'
            )
        displays = ('DISPLAY', 'WAYLAND_DISPLAY')
        if (
            show
            and sys.platform == 'linux'
            and not any(map(os.environ.get, displays))
        ):  # OpenCV would end the process
            raise ValueError(
                'There is no display to show anything on: say out_dir=FOLDER '
                '(--out-dir) in place of show (--show).'
            )

    # ------------------------------------------- the four steps of the base

    def preprocess(
        self,
        inputs: Union[Video, List[ImageType]],
        batch_size: int = 1,
        hr: bool = False,
    ) -> Iterator[List[dict]]:
        """Read images, and pack those of one size into batches.

        Yields:
            list[dict]: A batch, to be collated.
        """
        self.model.input_is_lr = not hr
        if self.show_progress:
            num = (
                inputs.num_frames if isinstance(inputs, Video) else len(inputs)
            )
            inputs = track(inputs, 'Inference', total=num)
        batch: List[dict] = []
        for item in self._prepare(inputs, hr):
            if batch and item['inputs'].shape != batch[0]['inputs'].shape:
                yield batch
                batch = []
            batch.append(item)
            if len(batch) == batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _prepare(
        self, inputs: Iterable[ImageType], hr: bool
    ) -> Iterator[dict]:
        scale = 1 if hr else self.model.scale
        for index, image in enumerate(inputs):
            is_array = isinstance(image, np.ndarray)
            name = f'{index:08d}' if is_array else str(image)
            try:
                pixels = read_image(image)
                if self.cfg.model.get('input_is_rgb'):
                    pixels = pixels[..., ::-1]
                shape = pixels.shape[:2]
                item = self.pipeline[hr](
                    dict(img=pixels, img_shape=shape, ori_shape=shape)
                )
            except Exception as error:  # the other images count
                self._skip(name, error)
                continue
            # Predict in coordinates of the SR image.
            size = tuple(side * scale for side in item['inputs'].shape[1:])
            item['data_samples'].set_metainfo(
                dict(
                    img_path=name,
                    input_shape=shape,
                    ori_shape=size,
                    scale_factor=(1 / scale, 1 / scale),
                )
            )
            yield item

    def _skip(self, name: str, error: Exception) -> None:
        reason = explain(error, self.cfg)
        if _is_out_of_memory(error):
            tile = min(256, (self.model.tile or 512) // 2)
            reason = (
                f'the memory does not suffice; predict in tiles (--tile {tile}'
                f'), which then take less. {reason}'
            )
        self.skipped[name] = reason
        print_log(
            f'Skipped {name}: {reason}', 'current', level=logging.WARNING
        )

    def _process(
        self, batch: List[dict], vis: dict, post: dict
    ) -> List[Tuple[BaseDataElement, dict]]:
        """The data samples of a batch and what :meth:`postprocess` makes of
        them, without those of images on which anything fails."""
        try:
            samples = self.forward(batch)
            drawings = self.visualize(batch, samples, **vis)
            return [*zip(samples, self.postprocess(samples, drawings, **post))]
        except Exception as error:  # whatever a network does
            if len(batch) == 1:
                self._skip(batch[0]['data_samples'].img_path, error)
                return []
        # outside of `except`, which keeps alive what took the memory
        return [x for one in batch for x in self._process([one], vis, post)]

    @torch.no_grad()
    def forward(self, inputs: List[dict], **kwargs) -> List[BaseDataElement]:
        """Predict from a batch.

        Returns:
            list[BaseDataElement]: On the CPU, each with ``pred_img`` and
            ``lr_img``: RGB in [0, 1], (3, h, w).
        """
        data = self.model.data_preprocessor(self.collate_fn(inputs), False)
        views = Views(self.model, **data)
        samples = self.model.predict(views, self.model.view)
        for sample, lr, (height, width) in zip(
            samples, views['lr'], views.sizes
        ):
            rows, cols = (
                -(-side // self.model.scale) for side in (height, width)
            )
            sample.set_data(dict(lr_img=lr[:, :rows, :cols]))
        return [sample.cpu() for sample in samples]

    def visualize(
        self,
        inputs: List[dict],
        preds: List[BaseDataElement],
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        pred_score_thr: float = 0.3,
    ) -> Optional[List[np.ndarray]]:
        """Draw LR images, SR images, and these with what was predicted.

        Returns:
            list[np.ndarray] | None: RGB, uint8, (H, W, 3).
        """
        if not (return_vis or show):
            return None
        drawings = []
        for sample in preds:
            drawings.append(
                draw_result(
                    self.visualizer, sample, self.model, pred_score_thr
                )
            )
            if show:
                self.visualizer.show(
                    drawings[-1][..., ::-1],
                    osp.basename(sample.img_path),
                    wait_time,
                    backend='cv2',
                )
        return drawings

    def postprocess(
        self,
        preds: List[BaseDataElement],
        visualization: Optional[List[np.ndarray]],
        coordinates: str = 'input',
    ) -> List[dict]:
        """See :meth:`stream`."""
        results = []
        for sample, drawing in zip(
            preds, visualization or [None] * len(preds)
        ):
            if coordinates == 'input':
                size = tuple(sample.input_shape)
                rescale_prediction(sample, size, self.model)
            results.append(
                dict(
                    name=sample.img_path,
                    prediction=to_plain(sample, self.model),
                    lr=to_uint8(sample.lr_img),
                    sr=to_uint8(sample.pred_img),
                    visualization=drawing,
                )
            )
        return results


def _is_out_of_memory(error: Exception) -> bool:
    """On the GPU, on the host, or in OpenCV; each says so in its own way."""
    words = (
        *('out of memory', "can't allocate memory", 'not enough memory'),
        'insufficient memory',
    )
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(w in text for w in words)
