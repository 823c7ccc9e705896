"""One call of an inferencer, from its inputs to the results."""

import logging
from functools import partial
from itertools import chain
from typing import (
    TYPE_CHECKING,
    Any,
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

import numpy as np
from rich.progress import Progress, ProgressColumn, Task

from .pipeline import AHEAD, THREADS, in_threads, predict_all, read_ahead
from .result_index import ResultIndex
from .sources import ImageType, Video
from .writer import ResultWriter, as_json

if TYPE_CHECKING:
    from .inferencer import Inferencer


class _Image(NamedTuple):
    """
    Args:
        name (str): What it is called.
        stem (str): What its files are called.
    """

    name: str
    stem: str


class Stream:
    """Predicts from images, writes what is found, and counts it.

    Args:
        inferencer (Inferencer): What predicts. Its ``skipped`` has the reason
            of each image that could not be predicted from.
        source (Sequence | Video): Of :func:`find_inputs`.
        writer (ResultWriter): What is written, and where.
        index (ResultIndex, optional): Of what is written. Images that have a
            row are left out.
        batch_size, hr, coordinates, return_datasamples, bands, polygons: See
            :meth:`Inferencer.stream`.
        score_thr (float, optional): Score from which on boxes are drawn; None
            for no drawings.
    """

    def __init__(
        self,
        inferencer: 'Inferencer',
        source: Union[Sequence[ImageType], Video],
        writer: ResultWriter,
        index: Optional[ResultIndex],
        batch_size: int,
        hr: bool,
        coordinates: str,
        return_datasamples: bool,
        bands: Optional[Sequence[int]],
        polygons: bool,
        score_thr: Optional[float],
    ) -> None:
        self.inferencer, self.source = inferencer, source
        self.video = source if isinstance(source, Video) else None
        self.writer, self.index = writer, index
        self.batch_size, self.hr = batch_size, hr
        self.coordinates, self.score_thr = coordinates, score_thr
        self.return_datasamples = return_datasamples
        self.bands, self.polygons = bands, polygons

    def __call__(self, share: Tuple[int, int]) -> Iterator[dict]:
        """Go through the images of this process.

        Args:
            share (tuple[int, int]): See :meth:`Inferencer.stream`.

        Yields:
            dict: See there.

        Raises:
            ValueError: If none could be predicted from.
        """
        inferencer, video, index = self.inferencer, self.video, self.index
        done = index.rows if index else {}
        inferencer.skipped = {}
        num = 0
        with self.writer, self._progress() as progress:
            images = self._todo(done, share)
            total = None if video is None else video.num_frames
            if video is None:
                images = list(images)
                total = len(images)
                inferencer.skipped = {
                    name: done[name]['skipped']
                    for name in self._names()
                    if 'skipped' in done.get(name, {})
                }
            task = progress.add_task('Inference', total=total)
            scenes = []
            if index and not self.hr:
                images, scenes = self._set_scenes_apart(images)
            for image, result in chain(
                self._predict_images(images),
                self._predict_maps(scenes, progress),
            ):
                progress.advance(task)
                if isinstance(result, Exception):
                    row = dict(skipped=self._skip(image.name, result))
                else:
                    row, result = result
                if index:
                    index.add(image.name, **row)
                if 'skipped' not in row:
                    num += 1
                    yield result
        if index:
            index.finish(self._names())
        whole = video is not None or total == len(self.source)
        if num == 0 and inferencer.skipped and whole:
            name, reason = next(iter(inferencer.skipped.items()))
            raise ValueError(
                f'None of {len(inferencer.skipped)} image(s) could be '
                f'predicted from. {name}: {reason}'
            )

    def _names(self) -> Iterator[str]:
        return map(_name, range(len(self.source)), self.source)

    def _todo(
        self, done: Dict[str, dict], share: Tuple[int, int]
    ) -> Iterator[Tuple[_Image, ImageType]]:
        """The images of this process that have no row; frames are called by
        their number, in steps. Files get the names that they have if one
        process does it all."""
        (rank, world), writer, images = share, self.writer, self.source
        step = 1
        if self.video is not None:
            step = self.video.every
            if not self.video.live:
                images = read_ahead(self.video)
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

    def _set_scenes_apart(
        self, images: List[Tuple[_Image, ImageType]]
    ) -> Tuple[list, list]:
        from .scenes import is_scene

        apart = [], []
        for image, given in images:
            scene = is_scene(given, self.inferencer.reads_rasters)
            apart[scene].append((image, given))
        return apart

    def _predict_images(
        self, images: Iterable[Tuple[_Image, ImageType]]
    ) -> Iterator[Tuple[_Image, Any]]:
        """The row of each and what is yielded, or the error."""
        # A webcam's frames would grow old, and those of a video have an order.
        ahead = 0 if self.video and self.video.live else AHEAD
        load = partial(self.inferencer.load, bands=self.bands)
        found = predict_all(
            self.inferencer, images, load, self.batch_size, self.hr, ahead
        )
        return in_threads(
            self._write,
            found,
            1 if self.video else THREADS,
            ahead,
            self.inferencer._start_thread,
        )

    def _write(
        self, image: _Image, found: Any
    ) -> Union[Exception, Tuple[dict, dict]]:
        """Draw and write what was found in an image."""
        if isinstance(found, Exception):
            return found
        try:
            result = self.inferencer._finish(
                found, self.coordinates, self.score_thr
            )
        except Exception as error:  # the other images count
            return error
        row = dict(files=self.writer.write(result, image.stem))
        if isinstance(result['prediction'], dict):
            row['prediction'] = as_json(result['prediction'])
        if self.return_datasamples:
            result['prediction'] = found
        return row, dict(result, name=image.name)

    def _predict_maps(
        self, scenes: List[Tuple[_Image, ImageType]], progress: Progress
    ) -> Iterator[Tuple[_Image, Any]]:
        """As :meth:`_predict_images`, of one scene after the other."""
        for image, path in scenes:
            from .maps import predict_map

            try:
                row, result = predict_map(
                    self.inferencer,
                    str(path),
                    image.stem,
                    writer=self.writer,
                    bands=self.bands,
                    polygons=self.polygons,
                    batch_size=self.batch_size,
                    score_thr=self.score_thr,
                    progress=progress,
                )
            except Exception as error:  # the other scenes count
                yield image, error
            else:
                yield image, (row, dict(result, name=image.name))

    def _skip(self, name: str, error: Exception) -> str:
        reason = self.inferencer._explain(error)
        self.inferencer.skipped[name] = reason
        # a name that is no text would end a log file's handler
        text = f'Skipped {name}: {reason}'
        text = text.encode('utf-8', 'backslashreplace').decode()
        logging.getLogger('sr4ir_mm').warning(text)
        return reason

    def _progress(self) -> Progress:
        columns = (*Progress.get_default_columns(), _Speed())
        return Progress(*columns, disable=not self.inferencer.show_progress)


class _Speed(ProgressColumn):
    """From the start on: a few images may come all at once."""

    def render(self, task: Task) -> str:
        seconds = task.finished_time or task.elapsed
        return f'{task.completed / seconds if seconds else 0:.1f}/s'


def check_going_on(
    source: Union[Sequence[ImageType], Video],
    resume: bool,
    share: Tuple[int, int],
) -> None:
    """Raise ValueError for inputs that have no names to go on with, nor to
    share."""
    if isinstance(source, Video):
        if resume or share != (0, 1):
            raise ValueError(
                f'{source.name} is one video: processes cannot share it, nor '
                'does --resume go on in the middle of it.'
            )
    elif resume and any(isinstance(one, np.ndarray) for one in source):
        raise ValueError(
            'resume=True: nothing tells whether arrays are those of the '
            'call before; write them to files, which have names.'
        )


def _name(index: int, image: ImageType) -> str:
    return f'{index:08d}' if isinstance(image, np.ndarray) else str(image)
