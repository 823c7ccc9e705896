"""Errors of a data set name the file."""

import os.path as osp
from traceback import walk_tb
from typing import Any, List, Optional

from mmengine.dataset import Compose

from sr4ir_mm.utils.images import DataError, blank_line, check_whole, message

from .census import empty, leaves


def name_files(dataset) -> None:
    """Let a data set, and those that it is made of, name what it fails on."""
    for leaf in leaves(dataset):
        pipeline = getattr(leaf, 'pipeline', None)
        if type(pipeline) is Compose:
            leaf.pipeline = NamingPipeline(
                pipeline, getattr(leaf, 'ann_file', '')
            )


class NamingPipeline(Compose):
    """A pipeline whose errors name the file; images that are cut off are
    errors, too.

    Args:
        pipeline (Compose): The data set's.
        source (str): The file that lists the images, if there is one.
    """

    def __init__(self, pipeline: Compose, source: str = '') -> None:
        self.transforms = pipeline.transforms
        self.source = source

    def __call__(self, data: dict) -> Optional[dict]:
        """See :class:`mmengine.dataset.Compose`."""
        files, transform = _files(data), None
        try:
            for file in files:
                check_whole(file)
            for transform in self.transforms:
                data = transform(data)
                if data is None:
                    return None
        except DataError:
            raise
        except Exception as error:
            missing = isinstance(error, FileNotFoundError) and self.source
            source = f', listed in {self.source}' if missing else ''
            raise DataError(
                f'{" or ".join(files) or "a sample"}: {message(error)} '
                f'(in {type(transform).__name__}{source})'
            ) from error
        return data


def _files(data: Any) -> List[str]:
    keys = ('img_path', 'seg_map_path')
    return [str(data[key]) for key in keys if data.get(key)]


def unreadable(cfg: dict, error: Exception) -> DataError:
    """What to say of a data set that fails while its annotations are read.

    Args:
        cfg (dict): Its config.
        error (Exception): What its toolbox said, mostly without the file.
    """
    if 'need at least one array' in str(error):
        return empty(cfg.get('type'), cfg)
    keys = ('ann_file', 'data_root')
    found = [f'{k}={cfg[k]!r}' for k in keys if cfg.get(k)]
    source = osp.join(cfg.get('data_root') or '', cfg.get('ann_file') or '')
    blank = osp.isfile(source) and source.endswith('.txt')
    reason = blank and blank_line(source)
    if not reason:
        file = _file_at_hand(error)
        reason = message(error)
        if file and file not in reason:
            reason += f' (file: {file})'
    return DataError(f'{cfg.get("type")}, {", ".join(found)}: {reason}')


def _file_at_hand(error: BaseException) -> Optional[str]:
    """The file that was being read when an error was raised: in the variables
    of the functions, from the inside out."""
    while error.__context__ is not None:
        error = error.__context__
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        for value in frame.f_locals.values():
            inner = value.values() if isinstance(value, dict) else [value]
            for path in inner:
                if isinstance(path, str) and osp.isfile(path):
                    return path
    return None
