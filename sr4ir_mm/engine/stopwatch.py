"""Seconds and memory of training."""

import resource
import time
from collections import defaultdict
from functools import partial
from typing import Callable, Dict, List

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner


def now() -> float:
    """Seconds, when everything that was asked of the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Memory:
    """Its peak above what was held when this was made, in MiB: of tensors on
    CUDA, of the process on a CPU."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated() / 2**20
        else:
            with open('/proc/self/statm') as file:
                pages = int(file.read().split()[1])
            self.start = pages * resource.getpagesize() / 2**20

    def peak(self) -> float:
        """Until now."""
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            peak = usage.ru_maxrss / 2**10
        return peak - self.start


class Stopwatch(Hook):
    """Seconds of each iteration, and of each part of its phases.

    Not registered, since no config asks for it: give it to
    ``runner.register_hook``.
    """

    def __init__(self) -> None:
        self.iterations: List[float] = []
        self.parts: Dict[str, List[float]] = defaultdict(list)

    def before_train(self, runner: Runner) -> None:
        """Stand beside each part of the loop's updates."""
        for update in runner.train_loop.updates.values():
            update.run_part = partial(self._time, update, update.run_part)
        self.memory = Memory()

    def before_train_iter(self, *args, **kwargs) -> None:
        """Start."""
        self._start = now()

    def after_train_iter(self, *args, **kwargs) -> None:
        """Stop."""
        self.iterations.append(now() - self._start)

    def _time(self, update, run_part: Callable, *args) -> dict:
        start = now()
        log_vars = run_part(*args)
        losses = {key.split('.')[0] for key in log_vars if key != 'loss'}
        name = f'{update.phase.name}: {", ".join(sorted(losses))}'
        self.parts[name].append(now() - start)
        return log_vars
