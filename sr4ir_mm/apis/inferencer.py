import os
import sys
from contextlib import closing
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import cv2
import numpy as np

from sr4ir_mm.drawing import draw_result
from sr4ir_mm.utils.bands import PICTURES, Bands
from sr4ir_mm.utils.labels import name_view
from sr4ir_mm.utils.rasters import open_raster

from .result_index import ResultIndex
from .sources import ImageType, InputsType, Video, find_inputs, read_image
from .stream import Stream, check_going_on
from .writer import ResultWriter

if TYPE_CHECKING:
    from mmengine.config import Config


def SRInferencer(
    model: Union[str, Path, 'Config', None] = None,
    weights: Union[str, Path, None] = None,
    device: Optional[str] = None,
    tile: Optional[int] = None,
    precision: str = 'float32',
    show_progress: bool = True,
    cfg_options: Optional[dict] = None,
) -> 'Inferencer':
    """Super-resolve LR images and predict from them: segmentation, detection
    or classification, as the checkpoint has it.

    Options and results are those of the toolboxes' inferencers
    (``MMSegInferencer``, ``DetInferencer``, ``ImageClassificationInferencer``)
    where these agree. This is no class, since the file says of which it is:
    that of an ONNX file imports neither PyTorch nor OpenMMLab.

    Args:
        model (str | Path | Config, optional): The config. Defaults to the one
            inside the checkpoint (:func:`init_model`). Without ``weights``, it
            is what these are.
        weights (str | Path, optional): The checkpoint: path, address, or name
            of a model of the zoo; or an ONNX file of ``sr4ir export``, which
            takes none of the options but ``device`` and ``show_progress``.
        device (str, optional): Defaults to the GPU, if there is one. Of an
            ONNX file, see :class:`OnnxInferencer`.
        tile (int, optional): For images that are too large for the memory: the
            SR network sees them in pieces of this side, in LR pixels
            (:func:`super_resolve_in_tiles`), and a segmentor in mmseg's
            sliding windows, of the same side. Defaults to None.
        precision (str): Of the networks: ``float32``, or ``bfloat16`` or
            ``float16`` by autocast, on devices that have it, in less time and
            with slightly other predictions (docs/en/performance.md).
            Defaults to ``float32``.
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
    if weights is None:
        if not isinstance(model, (str, Path)) or str(model).endswith('.py'):
            raise ValueError('SRInferencer needs weights=CHECKPOINT.')
        model, weights = None, model
    weights = str(weights)
    options = dict(
        config=model, tile=tile, precision=precision, cfg_options=cfg_options
    )
    if not weights.endswith('.onnx'):
        from .torch_inferencer import TorchInferencer

        return TorchInferencer(
            weights, device=device, show_progress=show_progress, **options
        )
    from .onnx_inferencer import OnnxInferencer

    for name, value in options.items():
        if value and value != 'float32':
            raise ValueError(
                f'{name}={value!r}: the networks of {weights} are as they '
                'were exported; the checkpoint takes this option.'
            )
    return OnnxInferencer(weights, device, show_progress)


class Inferencer:
    """Reads images, runs the networks, draws and writes, all at a time and in
    order. What runs the networks is up to subclasses.

    Args:
        weights (str): File of the networks, or name of a model of the zoo.
        show_progress (bool): Whether to show a progress bar.
    """

    dataset_meta: dict  # ``classes`` and ``palette``, as far as known
    view: str  # which the task network predicts from
    toolbox: str  # of the task network
    scale: int  # between LR and SR
    bands: Optional[Bands] = None  # ``model.bands``, where that is set
    loader: dict = {}  # arguments of the config's LoadRasterFromFile
    reads_rasters = False  # whether the config has one
    tile: Optional[int] = None
    # of the only images that it takes: height and width
    size: Optional[Tuple[int, int]] = None

    def __init__(self, weights: str, show_progress: bool) -> None:
        self.weights = weights
        self.show_progress = show_progress
        self.skipped = {}
        self.before = 0  # images that had a row, see `resume`

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
            batch_size (int): How many images of one size go through the
                networks at once; they are looked for among some batches of
                images. Defaults to 1.
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
        resume: bool = False,
        share: Tuple[int, int] = (0, 1),
        no_save_vis: bool = False,
        no_save_sr: bool = False,
        no_save_pred: bool = False,
        hr: bool = False,
        every: int = 1,
        coordinates: str = 'input',
        return_vis: bool = False,
        pred_score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0,
        bands: Optional[Sequence[int]] = None,
        polygons: bool = False,
    ) -> Iterator[dict]:
        """Predict image by image, in the memory of some batches.

        Args:
            inputs (str | Path | int | np.ndarray | Sequence): See
                :func:`find_inputs`. Of a model with ``model.bands``, arrays
                are (h, w, C), of these bands and their values.
            batch_size (int): See :meth:`__call__`. Defaults to 1.
            return_datasamples (bool): See :meth:`__call__`.
            out_dir (str): Folder for ``vis``, ``sr`` and ``pred``, see
                :class:`ResultWriter`. Defaults to '': nothing is written.
            resume (bool): Whether to go on with what is in ``out_dir``: an
                image with a row in :class:`ResultIndex` is not predicted from
                again, nor yielded; what was skipped, still is.
                Defaults to False.
            share (tuple[int, int]): Which process this is, from 0 on, of how
                many that share the images. Defaults to (0, 1): all of them.
            no_save_vis (bool): Not to write the first of these.
            no_save_sr (bool): Not to write the second.
            no_save_pred (bool): Not to write the third.
            hr (bool): Whether the images are HR, to be degraded first, as in
                the config. Defaults to False: they are LR.
            every (int): Of so many frames of a video, the first is predicted
                from. Defaults to 1.
            coordinates (str): Of what is predicted: ``input`` for the image as
                it is given, ``sr`` for the SR image. Defaults to ``input``.
            return_vis (bool): Whether to return drawings. Defaults to False.
            pred_score_thr (float): Score from which on boxes are drawn.
                Defaults to 0.3.
            show (bool): Whether to show drawings in a window.
                Defaults to False.
            wait_time (float): Seconds to show one; 0 waits for a key, but in
                videos. Defaults to 0.
            bands (Sequence[int], optional): Which bands of a scene are meant,
                from 1 on. Defaults to those that the model was trained with.
            polygons (bool): Whether what is found in scenes is written as
                polygons: regions of a segmentor, masks of a detector.
                Defaults to False.

        Yields:
            dict: ``name``, ``prediction``, ``lr``, ``sr`` and
            ``visualization``, as in :meth:`__call__`. Of scenes
            (:func:`is_scene`), which come last and are written as maps if
            there is an ``out_dir``, pictures and labels are previews, and
            boxes are in SR pixels.

        Raises:
            ValueError: If there is nothing that can be predicted from.
        """
        if batch_size < 1:
            raise ValueError(
                f'batch_size={batch_size} (--batch-size): expected 1 or more.'
            )
        self._check(hr, coordinates, show, return_datasamples)
        source = find_inputs(inputs, every, self.takes_rasters)
        check_going_on(source, resume, share)
        writer = ResultWriter(
            out_dir, source, not no_save_vis, not no_save_sr, not no_save_pred
        )
        draws = return_vis or show or 'visualization' in writer.pictures
        index = None
        if out_dir and not isinstance(source, Video):
            about = dict(
                self._about(),
                hr=hr,
                coordinates=coordinates,
                no_save_vis=no_save_vis,
                no_save_sr=no_save_sr,
                no_save_pred=no_save_pred,
                pred_score_thr=pred_score_thr,
                bands=bands,
                polygons=polygons,
            )
            index = ResultIndex(out_dir, about, share, resume)
        self.before = len(index.rows) if index else 0
        options = dict(
            batch_size=batch_size,
            hr=hr,
            coordinates=coordinates,
            score_thr=pred_score_thr if draws else None,
            return_datasamples=return_datasamples,
            bands=bands,
            polygons=polygons,
        )
        stream = Stream(self, source, writer, index, **options)
        with closing(stream(share)) as results:
            for result in results:
                if show:
                    video = isinstance(source, Video)
                    wait = wait_time or (0.001 if video else 0)
                    _show(result['visualization'], result['name'], wait)
                yield result

    def _finish(
        self, found: Any, coordinates: str, score_thr: Optional[float]
    ) -> dict:
        """What :meth:`stream` yields, but the name, of what the networks have
        found in an image; drawn, if there is a ``score_thr``."""
        lr, sr = self._pictures(found)
        drawing = None
        if score_thr is not None:
            drawing = draw_result(
                lr,
                sr,
                self._to_plain(found, 'sr'),
                name_view(self.view),
                self.dataset_meta,
                score_thr,
            )
        return dict(
            prediction=self._to_plain(found, coordinates),
            lr=lr,
            sr=sr,
            visualization=drawing,
        )

    def _check(
        self, hr: bool, coordinates: str, show: bool, return_datasamples: bool
    ) -> None:
        if coordinates not in ('input', 'sr'):
            raise ValueError(
                f"coordinates={coordinates!r}: expected 'input' or 'sr'."
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

    @property
    def takes_rasters(self) -> bool:
        """Whether files are read as rasters, of the model's bands."""
        return self.bands is not None or self.reads_rasters

    def load(
        self, image: ImageType, bands: Optional[Sequence[int]] = None
    ) -> np.ndarray:
        """An image as :meth:`_pack` takes it; arrays of bands are so.

        Args:
            image (str | Path | np.ndarray): The image.
            bands (Sequence[int], optional): See :meth:`stream`.
        """
        if not self.takes_rasters:
            return read_image(image)
        from .scenes import Scene, warn_of_range

        if isinstance(image, np.ndarray):
            number = (self.bands or PICTURES).number
            if image.ndim != 3 or image.shape[2] != number:
                raise ValueError(
                    f'is an array of shape {image.shape}: (h, w, {number}) is '
                    'expected, of the bands and values of model.bands'
                )
            image = image.astype(image.dtype.newbyteorder('='), copy=False)
            if image.dtype.kind == 'f':  # as in files
                fill = self.loader.get('fill', 0)
                image = np.where(np.isfinite(image), image, fill)
            if self.bands is not None:
                ends = self.bands.ends(image)
                warn_of_range('An array', self.bands, *ends)
            return image
        if not isinstance(image, (str, Path)):
            raise ValueError(
                'is in a tar shard, of which RGB of 8 bits is read: unpack it'
            )
        with open_raster(str(image)) as raster:
            scene = Scene(raster, self, bands)
            values, _ = scene.read(raster.whole)
            scene.warn()
            return scene.as_input(values)

    def as_exported(self, pixels: np.ndarray) -> np.ndarray:
        """What the networks of an exported file take of an image: RGB, uint8,
        or other bands, float32, of the file's values; (C, h, w).

        Args:
            pixels (np.ndarray): Of :meth:`load`.
        """
        if self.bands is None:
            pixels = pixels[..., ::-1]
        elif not self.bands.are_pictures:
            pixels = pixels.astype(np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    # ------------------------------------------- what runs the networks

    def _start_thread(self) -> None:
        """Called in each thread beside that of the networks."""

    def _about(self) -> dict:
        """What results depend on, for :class:`ResultIndex`."""
        about = dict(weights=str(self.weights))
        if os.path.isfile(self.weights):
            about['weights'] = os.path.abspath(self.weights)
            about['modified'] = os.path.getmtime(self.weights)
        return about

    def _pack(self, pixels: np.ndarray, name: str, hr: bool) -> dict:
        """What the networks take of an image: BGR, uint8, (h, w, 3), or the
        bands that the model was trained on, of the file's values. Its
        ``inputs`` have a shape; those of one shape make a batch."""
        raise NotImplementedError

    def _predict(self, items: List[dict]) -> list:
        """What the networks find in a batch, image by image."""
        raise NotImplementedError

    def _pictures(self, found: Any) -> Tuple[np.ndarray, np.ndarray]:
        """The LR and the SR image: RGB, uint8, (h, w, 3)."""
        raise NotImplementedError

    def _sr_image(self, found: Any) -> np.ndarray:
        """The SR image around [0, 1]: float32, RGB or bands, (C, h, w)."""
        raise NotImplementedError

    def _to_plain(
        self, found: Any, coordinates: str
    ) -> Union[np.ndarray, dict]:
        """What was found in an image, see :meth:`__call__`. It is asked for
        in coordinates of the SR image first."""
        raise NotImplementedError

    def _explain(self, error: Exception) -> str:
        return str(error) or type(error).__name__


def _show(picture: np.ndarray, name: str, seconds: float) -> None:
    window = 'sr4ir_mm'
    cv2.imshow(window, picture[..., ::-1])
    cv2.setWindowTitle(window, os.path.basename(name))
    cv2.waitKey(int(np.ceil(seconds * 1000)))
