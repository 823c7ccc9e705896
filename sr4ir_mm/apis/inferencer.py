import logging
import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat, takewhile
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
    Union,
)

import cv2
import numpy as np
from rich.progress import Progress, ProgressColumn, Task

from .sources import ImageType, InputsType, Video, find_inputs, read_image
from .writer import ResultWriter

if TYPE_CHECKING:
    from mmengine.config import Config

# What waits between reading, networks, and drawing and writing.
AHEAD = 4
THREADS = 4


def SRInferencer(
    model: Union[str, 'Config', None] = None,
    weights: Optional[str] = None,
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
        model (str | Config, optional): The config. Defaults to the one inside
            the checkpoint (:func:`init_model`). Without ``weights``, it is
            what these are.
        weights (str, optional): The checkpoint: path, address, or name of a
            model of the zoo; or an ONNX file of ``sr4ir export``, which takes
            none of the options but ``device`` and ``show_progress``.
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
        if not isinstance(model, str) or model.endswith('.py'):
            raise ValueError('SRInferencer needs weights=CHECKPOINT.')
        model, weights = None, model
    options = dict(
        config=model, tile=tile, precision=precision, cfg_options=cfg_options
    )
    if not str(weights).endswith('.onnx'):
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
        show_progress (bool): Whether to show a progress bar.
    """

    def __init__(self, show_progress: bool) -> None:
        self.show_progress = show_progress
        self.skipped = {}

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
        hr: bool = False,
        coordinates: str = 'input',
        return_vis: bool = False,
        pred_score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0,
    ) -> Iterator[dict]:
        """Predict image by image, in the memory of some batches.

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
        self._check(hr, coordinates, show, return_datasamples)
        source = find_inputs(inputs)
        writer = ResultWriter(
            out_dir, source, not no_save_vis, not no_save_sr, not no_save_pred
        )
        draws = return_vis or show or 'visualization' in writer.pictures
        score_thr = pred_score_thr if draws else None

        def finish(name: str, found: Any) -> Any:
            stem, found = found
            if isinstance(found, Exception):
                return found
            try:
                result = self._finish(found, coordinates, score_thr)
            except Exception as error:  # the other images count
                return error
            writer.write(result, stem)
            if return_datasamples:
                result['prediction'] = found
            return dict(result, name=name)

        self.skipped, num = {}, 0
        video = source if isinstance(source, Video) else None
        total = len(source) if video is None else video.num_frames
        # A webcam's frames would grow old, and those of a video have an order.
        ahead = 0 if video and video.live else AHEAD
        threads = 1 if video else THREADS
        with writer, self._progress() as progress:
            task = progress.add_task('Inference', total=total)
            found = (
                (name, (writer.free_stem(name), item))
                for name, item in self._predict_all(
                    source, batch_size, hr, ahead
                )
            )
            for name, result in in_threads(finish, found, threads, ahead):
                progress.advance(task)
                if isinstance(result, Exception):
                    self._skip(name, result)
                    continue
                if show:
                    wait = wait_time or (0.001 if video else 0)
                    _show(result['visualization'], name, wait)
                num += 1
                yield result
        if num == 0:
            name, reason = next(iter(self.skipped.items()))
            raise ValueError(
                f'None of {len(self.skipped)} image(s) could be predicted '
                f'from. {name}: {reason}'
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
        source: Union[Video, List[ImageType]],
        batch_size: int,
        hr: bool,
        ahead: int,
    ) -> Iterator[Tuple[str, Any]]:
        """Names, and what :meth:`_predict` has found or the error."""

        def read(name: str, image: ImageType) -> Any:
            try:
                return self._pack(read_image(image), name, hr)
            except Exception as error:  # the other images count
                return error

        if isinstance(source, Video) and ahead:
            source = _read_ahead(source, ahead)
        items = in_threads(
            read, _named(source), THREADS if ahead else 1, ahead + batch_size
        )
        batch: List[Tuple[str, dict]] = []
        for name, item in items:
            if isinstance(item, Exception):
                yield name, item
                continue
            if batch and item['inputs'].shape != batch[0][1]['inputs'].shape:
                yield from self._process(batch)
                batch = []
            batch.append((name, item))
            if len(batch) == batch_size:
                yield from self._process(batch)
                batch = []
        if batch:
            yield from self._process(batch)

    def _process(self, batch: List[Tuple[str, dict]]) -> List[Tuple[str, Any]]:
        """A batch, image by image where anything fails."""
        names, items = zip(*batch)
        try:
            return [*zip(names, self._predict(list(items)))]
        except Exception as error:  # whatever a network does
            if len(batch) == 1:
                return [(names[0], error)]
        # outside of `except`, which keeps alive what took the memory
        return [pair for one in batch for pair in self._process([one])]

    def _skip(self, name: str, error: Exception) -> None:
        self.skipped[name] = reason = self._explain(error)
        logging.getLogger('sr4ir_mm').warning('Skipped %s: %s', name, reason)

    # ------------------------------------------- what runs the networks

    def _pack(self, pixels: np.ndarray, name: str, hr: bool) -> dict:
        """What the networks take of an image: BGR, uint8, (h, w, 3). Its
        ``inputs`` have a shape; those of one shape make a batch."""
        raise NotImplementedError

    def _predict(self, items: List[dict]) -> list:
        """What the networks find in a batch, image by image."""
        raise NotImplementedError

    def _finish(
        self, found: Any, coordinates: str, score_thr: Optional[float]
    ) -> dict:
        """What :meth:`stream` yields, but the name, of what the networks have
        found in an image; drawn, if there is a ``score_thr``."""
        raise NotImplementedError

    def _explain(self, error: Exception) -> str:
        return str(error) or type(error).__name__


class _Speed(ProgressColumn):
    def render(self, task: Task) -> str:
        return f'{task.finished_speed or task.speed or 0:.1f}/s'


def in_threads(
    function: Callable,
    items: Iterable[Tuple[str, Any]],
    threads: int,
    ahead: int,
) -> Iterator[Tuple[str, Any]]:
    """Call a function on items that have names, some of them at a time.

    Args:
        function (Callable): Of a name and an item.
        items (Iterable): Pairs of these; they are made in this thread.
        threads (int): How many calls at a time.
        ahead (int): How many items are taken before the result of the first
            is given.

    Yields:
        tuple: The name, and what the function gives, in the order of the
        items.
    """
    waiting: Deque[Tuple[str, Future]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for name, item in items:
                waiting.append((name, pool.submit(function, name, item)))
                if len(waiting) > ahead:
                    name, first = waiting.popleft()
                    yield name, first.result()
            while waiting:
                name, first = waiting.popleft()
                yield name, first.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _read_ahead(video: Video, ahead: int) -> Iterator[np.ndarray]:
    """Its frames, decoded in a thread of their own."""
    frames, end = iter(video), object()
    read = in_threads(
        lambda *_: next(frames, end), repeat(('', None)), 1, ahead
    )
    return takewhile(lambda frame: frame is not end, (f for _, f in read))


def _named(
    images: Iterable[ImageType],
) -> Iterator[Tuple[str, ImageType]]:
    for index, image in enumerate(images):
        is_array = isinstance(image, np.ndarray)
        yield f'{index:08d}' if is_array else str(image), image


def _show(picture: np.ndarray, name: str, seconds: float) -> None:
    window = 'sr4ir_mm'
    cv2.imshow(window, picture[..., ::-1])
    cv2.setWindowTitle(window, os.path.basename(name))
    cv2.waitKey(int(np.ceil(seconds * 1000)))
