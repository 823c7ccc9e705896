"""Reading, networks, and drawing and writing: all at a time, and in order."""

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
    Optional,
    Tuple,
)

import numpy as np

from .batches import in_batches
from .sources import Video

if TYPE_CHECKING:
    from .inferencer import Inferencer

# What waits between reading, networks, and drawing and writing.
AHEAD = 4
THREADS = 4


def predict_all(
    inferencer: 'Inferencer',
    images: Iterable[Tuple[Any, Any]],
    load: Callable[[Any], np.ndarray],
    batch_size: int,
    hr: bool = False,
    ahead: int = AHEAD,
) -> Iterator[Tuple[Any, Any]]:
    """Read images in threads, and predict from them in batches.

    Args:
        inferencer (Inferencer): What predicts.
        images (Iterable): Pairs of something that has a ``name``, and what
            ``load`` takes.
        load (Callable): Reads one, see :meth:`Inferencer.load`.
        batch_size (int): How many go through the networks at once.
        hr (bool): Whether they are HR. Defaults to False.
        ahead (int): How many are read before they are needed; 0 for none.

    Yields:
        tuple: The first of each pair, and what ``_predict`` has found, or the
        error.
    """

    def read(image: Any, given: Any) -> Any:
        try:
            return inferencer._pack(load(given), image.name, hr)
        except Exception as error:  # the other images count
            return error

    items = in_threads(
        read,
        images,
        THREADS if ahead else 1,
        ahead and ahead + batch_size,
        inferencer._start_thread,
    )
    return in_batches(
        inferencer._predict, items, batch_size, AHEAD * batch_size
    )


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


def read_ahead(video: Video, ahead: int = AHEAD) -> Iterator[np.ndarray]:
    """Its frames, decoded in a thread of their own."""
    frames, end = iter(video), object()
    read = in_threads(
        lambda *_: next(frames, end), repeat((None, None)), 1, ahead
    )
    return takewhile(lambda frame: frame is not end, (f for _, f in read))
