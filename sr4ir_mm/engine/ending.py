"""How a training ends before its last iteration."""

import os
import signal
import threading
from typing import Optional

import torch.distributed as dist

# What shells and schedulers read of a process that SIGTERM ended.
INTERRUPTED = 128 + signal.SIGTERM
# Iterations after the signal at which all ranks stop. Gradients are exchanged
# in each, so that no rank is as far ahead of another.
_MARGIN = 5
_KEY = 'sr4ir_mm/stop_after'


class Interruption:
    """SIGTERM, as slurm and kubernetes send it before they kill: a training
    finishes its iteration, and writes what it has; a second one ends it at
    once.

    Ranks may get the signal at different times, or one of them alone. The
    first notes in the store, by which they have met, after which iteration
    all stop; the others look there in each iteration, which waits for no
    device.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._stop_after: Optional[int] = None
        self._before = None

    def __enter__(self) -> 'Interruption':
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:  # no other may set handlers
            self._owner = os.getpid()
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame) -> None:
        signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
        if os.getpid() != self._owner:  # a worker
            os._exit(INTERRUPTED)
        self._signalled = True

    def stops_after(self, iteration: int) -> bool:
        """Whether training stops after an iteration."""
        if not (dist.is_available() and dist.is_initialized()):
            return self._signalled
        if self._stop_after is None:
            store = dist.distributed_c10d._get_default_store()
            if store.check([_KEY]):
                self._stop_after = int(store.get(_KEY))
            elif self._signalled:
                store.compare_set(_KEY, '', str(iteration + _MARGIN))
                self._stop_after = int(store.get(_KEY))
        return self._stop_after is not None and iteration >= self._stop_after


class Interrupted(Exception):
    """Training has stopped after an iteration, and its state is written."""
