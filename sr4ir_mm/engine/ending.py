"""How a training ends before its last iteration."""

import os
import signal
import threading
import time

import torch.distributed as dist
from torch.utils.data._utils import signal_handling

# What shells and schedulers read of a process that SIGTERM ended.
INTERRUPTED = 128 + signal.SIGTERM
# Iterations after the signal at which all ranks stop. Gradients are exchanged
# in each, so that no rank is as far ahead of another.
_MARGIN = 5
_KEY = 'sr4ir_mm/stop_after'
# Seconds in which a second signal is the same: slurm sends it to each process,
# and PyTorch's launcher, which gets it too, hands it on.
_SAME = 3


class Interruption:
    """SIGTERM, as slurm and kubernetes send it before they kill: a training
    finishes its iteration, and writes what it has; a second one, a while
    later, ends it at once.

    Ranks may get the signal at different times, or one of them alone. The
    first notes in the store, by which they have met, after which iteration
    all stop; the others look there in each iteration, which waits for no
    device.
    """

    def __init__(self) -> None:
        self._signalled = 0.0  # when
        self._stop_after = 0  # an iteration, once it is known
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
        if os.getpid() != self._owner:  # a worker that has just begun
            return
        now = time.monotonic()
        if self._signalled and now - self._signalled > _SAME:
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        self._signalled = self._signalled or now

    def stops_after(self, iteration: int) -> bool:
        """Whether training stops after an iteration."""
        if not (dist.is_available() and dist.is_initialized()):
            return bool(self._signalled)
        if not self._stop_after:
            store = dist.distributed_c10d._get_default_store()
            # adding nothing is to look, without a wait: 0, if it is not set
            self._stop_after = store.add(_KEY, 0)
            if self._signalled and not self._stop_after:
                store.compare_set(_KEY, '0', str(iteration + _MARGIN))
                self._stop_after = store.add(_KEY, 0)
        return 0 < self._stop_after <= iteration


class Interrupted(Exception):
    """Training has stopped after an iteration, and its state is written."""


def _protect_worker() -> None:
    """Let a data loader's worker end at its training's own SIGTERM alone.

    Schedulers send theirs to workers, too, and a training whose workers are
    gone dies wherever it is, its checkpoint in part.
    """
    _set_handlers()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    training = os.getppid()

    def wait() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != training:
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


_set_handlers = signal_handling._set_worker_signal_handlers
if hasattr(signal, 'sigwaitinfo'):  # on Linux
    signal_handling._set_worker_signal_handlers = _protect_worker
