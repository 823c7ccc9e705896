from collections import deque
from itertools import islice
from typing import Any, Callable, Deque, Iterable, Iterator, List, Tuple, Union


def in_batches(
    predict: Callable[[List[dict]], list],
    items: Iterable[Tuple[Any, Union[dict, Exception]]],
    batch_size: int,
    room: int,
) -> Iterator[Tuple[Any, Any]]:
    """Predict from batches of images of one size, from near and far.

    Args:
        predict (Callable): Of a list of items, what is found in each.
        items (Iterable): Pairs of a key, and an item whose ``inputs`` have a
            shape, or the error that has come in its place.
        batch_size (int): How many images make a batch.
        room (int): How many images wait for others of their size, or for
            their turn, at most.

    Yields:
        tuple: The key, and what is found or the error, in the order of the
        items.
    """
    window: Deque[_Waiting] = deque()
    for key, item in items:
        window.append(_Waiting(key, item))
        yield from _advance(predict, window, batch_size, room)
    yield from _advance(predict, window, batch_size, 0)


class _Waiting:
    """An image before and after the networks.

    Args:
        key: Which it is.
        item (dict | Exception): What the networks take, or why there is
            none.
    """

    def __init__(self, key: Any, item: Union[dict, Exception]) -> None:
        self.key = key
        if isinstance(item, Exception):
            self.finish(item)
        else:
            self.item, self.shape = item, item['inputs'].shape

    def finish(self, found: Any) -> None:
        self.item = self.shape = None
        self.found = found


def _advance(
    predict: Callable, window: Deque[_Waiting], batch_size: int, room: int
) -> Iterator[Tuple[Any, Any]]:
    """Predict from the image that waits first, with those of its size, once
    they make a batch or there is no more room; and so on."""
    while window:
        first = window[0]
        if first.item is None:
            yield first.key, window.popleft().found
            continue
        alike = (one for one in window if one.shape == first.shape)
        batch = list(islice(alike, batch_size))
        if len(batch) < batch_size and len(window) < room:
            return
        found = _predict_safely(predict, [one.item for one in batch])
        for one, result in zip(batch, found):
            one.finish(result)


def _predict_safely(predict: Callable, items: List[dict]) -> list:
    """What is found in a batch, image by image where anything fails."""
    try:
        return predict(items)
    except Exception as error:  # whatever a network does
        if len(items) == 1:
            return [error]
    # outside of `except`, which keeps alive what took the memory
    return [
        found for one in items for found in _predict_safely(predict, [one])
    ]
