"""What runs beside the networks."""

import threading
import time

import pytest

from sr4ir_mm.apis.inferencer import in_threads


def named(items):
    return ((str(item), item) for item in items)


def test_order_is_kept_whatever_takes_longer():
    def slow_first(name, item):
        time.sleep(0.05 if item == 0 else 0)
        return item * 2

    found = [*in_threads(slow_first, named(range(20)), threads=4, ahead=6)]
    assert found == [(str(i), i * 2) for i in range(20)]


@pytest.mark.parametrize('ahead', [0, 3])
def test_no_more_is_taken_than_said(ahead):
    taken = []

    def items():
        for item in range(10):
            taken.append(item)
            yield str(item), item

    found = in_threads(lambda name, item: item, items(), 2, ahead)
    next(found)
    assert len(taken) == ahead + 1
    found.close()
    assert len(taken) == ahead + 1
    assert not any(
        'ThreadPool' in thread.name for thread in threading.enumerate()
    )


def test_calls_run_side_by_side():
    meet = threading.Barrier(3, timeout=20)
    found = in_threads(lambda *_: meet.wait(), named(range(3)), 3, ahead=3)
    assert sorted(result for _, result in found) == [0, 1, 2]


def test_errors_arrive():
    def fail(name, item):
        raise OSError(f'disk full at {name}')

    with pytest.raises(OSError, match='disk full at 0'):
        [*in_threads(fail, named(range(9)), 2, ahead=4)]
