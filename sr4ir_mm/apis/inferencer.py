import logging
import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, repeat, takewhile
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import cv2
import numpy as np
from rich.progress import Progress, ProgressColumn, Task

from sr4ir_mm.drawing import draw_result
from sr4ir_mm.utils.bands import PICTURES, Bands
from sr4ir_mm.utils.labels import name_view
from sr4ir_mm.utils.rasters import open_raster

from .batches import in_batches
from .result_index import ResultIndex
from .sources import ImageType, InputsType, Video, find_inputs, read_image
from .writer import ResultWriter, as_json

if TYPE_CHECKING:
    from mmengine.config import Config

# What waits between reading, networks, and drawing and writing.
AHEAD = 4
THREADS = 4


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
        source = find_inputs(inputs, every)
        writer = ResultWriter(
            out_dir, source, not no_save_vis, not no_save_sr, not no_save_pred
        )
        draws = return_vis or show or 'visualization' in writer.pictures
        score_thr = pred_score_thr if draws else None

        self.skipped, self.before, num = {}, 0, 0
        video = source if isinstance(source, Video) else None
        # A webcam's frames would grow old, and those of a video have an order.
        ahead = 0 if video and video.live else AHEAD
        threads = 1 if video else THREADS
        if video and (resume or share != (0, 1)):
            raise ValueError(
                f'{video.name} is one video: processes cannot share it, nor '
                'does --resume go on in the middle of it.'
            )
        if resume and any(isinstance(one, np.ndarray) for one in source):
            raise ValueError(
                'resume=True: nothing tells whether arrays are those of the '
                'call before; write them to files, which have names.'
            )
        if video and ahead:
            source = _read_ahead(video, ahead)
        index = None
        if out_dir and video is None:
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
            self.before = len(index.rows)

        done = index.rows if index else {}
        step = video.every if video else 1
        images = _todo(source, writer, done, share, step)
        finish = partial(
            self._write, writer, coordinates, score_thr, return_datasamples
        )
        with writer, self._progress() as progress:
            if video is None:
                images = list(images)
                self.skipped = {
                    name: done[name]['skipped']
                    for name in map(_name, range(len(source)), source)
                    if 'skipped' in done.get(name, {})
                }
            total = len(images) if video is None else video.num_frames
            task = progress.add_task('Inference', total=total)
            scenes = []
            if index and not hr:
                images, scenes = self._set_scenes_apart(images)
            load = partial(self.load, bands=bands)
            found = self._predict_all(images, batch_size, hr, ahead, load)
            results = in_threads(
                finish, found, threads, ahead, self._start_thread
            )
            maps = self._predict_maps(
                scenes,
                writer=writer,
                bands=bands,
                polygons=polygons,
                batch_size=batch_size,
                score_thr=score_thr,
                progress=progress,
            )
            for image, result in chain(results, maps):
                progress.advance(task)
                if isinstance(result, Exception):
                    row = dict(skipped=self._skip(image.name, result))
                else:
                    row, result = result
                if index:
                    index.add(image.name, **row)
                if 'skipped' in row:
                    continue
                if show:
                    wait = wait_time or (0.001 if video else 0)
                    _show(result['visualization'], image.name, wait)
                num += 1
                yield result
        if index:
            index.finish(map(_name, range(len(source)), source))
        all_of_them = video is not None or total == len(source)
        if num == 0 and self.skipped and all_of_them:
            name, reason = next(iter(self.skipped.items()))
            raise ValueError(
                f'None of {len(self.skipped)} image(s) could be predicted '
                f'from. {name}: {reason}'
            )

    def _set_scenes_apart(
        self, images: List[Tuple['_Image', ImageType]]
    ) -> Tuple[list, list]:
        from .scenes import is_scene

        apart = [], []
        for image, given in images:
            scene = is_scene(given, self.reads_rasters)
            apart[scene].append((image, given))
        return apart

    def _predict_maps(
        self, scenes: List[Tuple['_Image', ImageType]], **options: Any
    ) -> Iterator[Tuple['_Image', Any]]:
        """As :meth:`_write` returns it, of one scene after the other, with
        these options of :func:`predict_map`."""
        for image, path in scenes:
            from .maps import predict_map

            try:
                result = predict_map(self, str(path), image.stem, **options)
            except Exception as error:  # the other scenes count
                yield image, error
            else:
                row, result = result
                yield image, (row, dict(result, name=image.name))

    def _write(
        self,
        writer: ResultWriter,
        coordinates: str,
        score_thr: Optional[float],
        return_datasamples: bool,
        image: '_Image',
        found: Any,
    ) -> Union[Exception, Tuple[dict, dict]]:
        """Draw and write what was found in an image; returns its row and what
        :meth:`stream` yields, or the error."""
        if isinstance(found, Exception):
            return found
        try:
            result = self._finish(found, coordinates, score_thr)
        except Exception as error:  # the other images count
            return error
        row = dict(files=writer.write(result, image.stem))
        if isinstance(result['prediction'], dict):
            row['prediction'] = as_json(result['prediction'])
        if return_datasamples:
            result['prediction'] = found
        return row, dict(result, name=image.name)

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

    def _progress(self) -> Progress:
        columns = (*Progress.get_default_columns(), _Speed())
        return Progress(*columns, disable=not self.show_progress)

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

    def _predict_all(
        self,
        images: Iterable[Tuple['_Image', ImageType]],
        batch_size: int,
        hr: bool,
        ahead: int,
        load: Callable[[Any], np.ndarray],
    ) -> Iterator[Tuple['_Image', Any]]:
        """What :meth:`_predict` has found in each, or the error."""

        def read(image: _Image, given: ImageType) -> Any:
            try:
                return self._pack(load(given), image.name, hr)
            except Exception as error:  # the other images count
                return error

        items = in_threads(
            read,
            images,
            THREADS if ahead else 1,
            ahead and ahead + batch_size,
            self._start_thread,
        )
        return in_batches(self._predict, items, batch_size, AHEAD * batch_size)

    def _skip(self, name: str, error: Exception) -> str:
        self.skipped[name] = reason = self._explain(error)
        # a name that is no text would end a log file's handler
        text = f'Skipped {name}: {reason}'
        text = text.encode('utf-8', 'backslashreplace').decode()
        logging.getLogger('sr4ir_mm').warning(text)
        return reason

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
        if isinstance(image, np.ndarray):
            number = (self.bands or PICTURES).number
            if image.ndim != 3 or image.shape[2] != number:
                raise ValueError(
                    f'is an array of shape {image.shape}: (h, w, {number}) is '
                    'expected, of the bands and values of model.bands'
                )
            return image
        if not isinstance(image, (str, Path)):
            raise ValueError(
                'is in a tar shard, of which RGB of 8 bits is read: unpack it'
            )
        from .scenes import Scene

        with open_raster(str(image)) as raster:
            scene = Scene(raster, self, bands)
            return scene.as_input(scene.read(raster.whole)[0])

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


class _Image(NamedTuple):
    """
    Args:
        name (str): What it is called.
        stem (str): What its files are called.
    """

    name: str
    stem: str


class _Speed(ProgressColumn):
    """From the start on: a few images may come all at once."""

    def render(self, task: Task) -> str:
        seconds = task.finished_time or task.elapsed
        return f'{task.completed / seconds if seconds else 0:.1f}/s'


def in_threads(
    function: Callable,
    items: Iterable[Tuple[Any, Any]],
    threads: int,
    ahead: int,
    start: Optional[Callable] = None,
) -> Iterator[Tuple[Any, Any]]:
    """Call a function on items that have keys, some of them at a time.

    Args:
        function (Callable): Of a key and an item.
        items (Iterable): Pairs of these; they are made in this thread.
        threads (int): How many calls at a time.
        ahead (int): How many items are taken before the result of the first
            is given.
        start (Callable, optional): Called at the start of each thread.

    Yields:
        tuple: The key, and what the function gives, in the order of the
        items.
    """
    waiting: Deque[Tuple[Any, Future]] = deque()
    with ThreadPoolExecutor(threads, initializer=start) as pool:
        try:
            for key, item in items:
                waiting.append((key, pool.submit(function, key, item)))
                if len(waiting) > ahead:
                    key, first = waiting.popleft()
                    yield key, first.result()
            while waiting:
                key, first = waiting.popleft()
                yield key, first.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _read_ahead(video: Video, ahead: int) -> Iterator[np.ndarray]:
    """Its frames, decoded in a thread of their own."""
    frames, end = iter(video), object()
    read = in_threads(
        lambda *_: next(frames, end), repeat((None, None)), 1, ahead
    )
    return takewhile(lambda frame: frame is not end, (f for _, f in read))


def _todo(
    images: Iterable[ImageType],
    writer: ResultWriter,
    done: Dict[str, dict],
    share: Tuple[int, int],
    step: int,
) -> Iterator[Tuple[_Image, ImageType]]:
    """The images of this process that have no row; frames are called by their
    number, in steps. Files get the names that they have if one process does
    it all."""
    rank, world = share
    for row in done.values():
        writer.take(row.get('files', {}).values())
    for index, image in enumerate(images):
        name = _name(index * step, image)
        if not done.get(name, {}).get('files'):
            stem = writer.free_stem(
                name if isinstance(image, np.ndarray) else image
            )
            if name not in done and index % world == rank:
                yield _Image(name, stem), image


def _name(index: int, image: ImageType) -> str:
    return f'{index:08d}' if isinstance(image, np.ndarray) else str(image)


def _show(picture: np.ndarray, name: str, seconds: float) -> None:
    window = 'sr4ir_mm'
    cv2.imshow(window, picture[..., ::-1])
    cv2.setWindowTitle(window, os.path.basename(name))
    cv2.waitKey(int(np.ceil(seconds * 1000)))
