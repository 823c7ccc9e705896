import json
import os
import os.path as osp
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterable, List, Set, Union

import cv2
import numpy as np

from sr4ir_mm.utils.files import whole_file, write_image

from .shards import Member
from .sources import ImageType, Video

# Encoders refuse, or fail on, larger frames.
MAX_VIDEO_WIDTH = 3840


class ResultWriter:
    """Writes results of :class:`SRInferencer` into a folder.

    ``vis/NAME.png`` has the LR image, the SR image, and the SR image with what
    was predicted; ``sr/NAME.png`` is the SR image. ``pred/NAME.png`` has the
    label of each pixel (segmentation), ``pred/NAME.json`` boxes or classes. Of
    a video, there are ``vis/NAME.mp4``, ``sr/NAME.mp4``, and
    ``pred/NAME/FRAME.json`` or ``.png``. ``a.png`` beside ``a.jpg`` keep their
    suffixes: ``vis/a.png.png`` and ``vis/a.jpg.png``.

    Args:
        out_dir (str): The folder. If empty, nothing is written.
        source (Video | list): Of which the results are: :func:`find_inputs`.
        vis (bool): Whether to write ``vis``.
        sr (bool): Whether to write ``sr``.
        pred (bool): Whether to write ``pred``.

    Raises:
        ValueError: If there can be no such folder.
    """

    def __init__(
        self,
        out_dir: str,
        source: Union[Video, List[ImageType]],
        vis: bool,
        sr: bool,
        pred: bool,
    ) -> None:
        if out_dir:
            try:
                os.makedirs(out_dir, exist_ok=True)
            except OSError as error:
                raise ValueError(
                    f'out_dir={out_dir!r} (--out-dir) cannot be a folder '
                    f'({error.strerror}): give another.'
                ) from error
        self.out_dir = out_dir
        self.video = source if isinstance(source, Video) else None
        self._files: Dict[str, Set[str]] = defaultdict(set)  # by their stems
        for image in () if self.video else source:
            if not isinstance(image, np.ndarray):
                name = _file_name(image)
                self._files[osp.splitext(name)[0]].add(name)
        wanted = dict(visualization=('vis', vis), sr=('sr', sr))
        self.pictures: Dict[str, str] = {
            key: folder
            for key, (folder, wants) in wanted.items()
            if wants and out_dir
        }
        self.pred = pred and bool(out_dir)
        self._videos: Dict[str, cv2.VideoWriter] = {}
        self._taken = set()

    def __enter__(self) -> 'ResultWriter':
        return self

    def __exit__(self, *error) -> None:
        for video in self._videos.values():
            video.release()

    def write(self, result: dict, stem: str) -> Dict[str, str]:
        """Write one result of :meth:`SRInferencer.stream`, to files of this
        name; of a video, one after the other.

        Returns:
            dict: Files by the folder that they are in, as seen from the
            outermost.
        """
        files = {}
        for key, folder in self.pictures.items():
            if self.video is not None:
                self._write_frame(folder, result[key])
            else:
                files[folder] = f'{folder}/{stem}.png'
                path = osp.join(self.out_dir, files[folder])
                write_image(cv2.cvtColor(result[key], cv2.COLOR_RGB2BGR), path)
        if self.pred:
            folders = [] if self.video is None else [self.video.stem]
            kind = (
                'png'
                if isinstance(result['prediction'], np.ndarray)
                else 'json'
            )
            files['pred'] = '/'.join(['pred', *folders, f'{stem}.{kind}'])
            path = osp.join(self.out_dir, files['pred'])
            self._write_prediction(path, result['prediction'])
        return files

    def take(self, files: Iterable[str]) -> None:
        """Leave these files, of images that need none any more, as they
        are."""
        self._taken.update(osp.splitext(osp.basename(f))[0] for f in files)

    def free_stem(self, image: Union[str, Path, Member]) -> str:
        """A name for the files of an image, which none has had: two images
        may have the same name, in two folders, say."""
        file = _file_name(image)
        stem = osp.splitext(file)[0]
        stem = free = file if len(self._files[stem]) > 1 else stem
        number = 1
        while free in self._taken:
            number += 1
            free = f'{stem}_{number}'
        self._taken.add(free)
        return free

    def _write_frame(self, folder: str, frame: np.ndarray) -> None:
        height, width = frame.shape[:2]
        if width > MAX_VIDEO_WIDTH:
            height = max(1, round(height * MAX_VIDEO_WIDTH / width))
            width = MAX_VIDEO_WIDTH
            frame = cv2.resize(frame, (width, height))
        if folder not in self._videos:
            path = osp.join(self.out_dir, folder, f'{self.video.stem}.mp4')
            os.makedirs(osp.dirname(path), exist_ok=True)
            video = cv2.VideoWriter(
                path,
                cv2.VideoWriter_fourcc(*'mp4v'),
                self.video.fps,
                (width, height),
            )
            if not video.isOpened():
                raise OSError(
                    f'OpenCV cannot write the video {path} of {width}x'
                    f'{height} pixels.'
                )
            self._videos[folder] = video
        self._videos[folder].write(frame[..., ::-1])

    def _write_prediction(self, path: str, prediction) -> None:
        if isinstance(prediction, np.ndarray):
            write_image(prediction, path)
            return
        with whole_file(path) as part:
            with open(part, 'w', encoding='utf-8') as file:
                json.dump(
                    as_json(prediction), file, indent=1, ensure_ascii=False
                )


def _file_name(image: Union[str, Path, Member]) -> str:
    if isinstance(image, Member):
        return image.file_name
    return osp.basename(str(image))


def as_json(prediction: dict) -> dict:
    """Of a detector or a classifier: arrays as lists."""
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in prediction.items()
    }
