"""What one sees of a run on the screen. The log file has all."""

import time
from math import ceil
from typing import Iterator, Optional

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop, Runner
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID
from rich.text import Text

from sr4ir_mm.models.phase import Phase, Span
from sr4ir_mm.registry import HOOKS

ETA_OVER = 600  # seconds; a slow CPU makes an iteration a minute


class Bars:
    """Progress bars below the log, on a terminal.

    A context, at whose end, or error, the terminal is as it was.

    Args:
        logger (MMLogger): Whose lines stand above the bars, as they are.
    """

    def __init__(self, logger: MMLogger) -> None:
        self._screen = logger.handlers[0]
        self._progress: Optional[Progress] = None

    def __enter__(self) -> 'Bars':
        return self

    def __exit__(self, *error) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._screen.setStream(self._progress.console.file)
            self._progress = None

    def add(self, what: str, total: int, done: int = 0) -> Optional[TaskID]:
        """A bar; None where nobody would see it."""
        if self._progress is None:
            console = Console(file=self._screen.stream)
            if not (console.is_terminal and is_main_process()):
                return None
            self._progress = Progress(
                *Progress.get_default_columns(),
                MofNCompleteColumn(),
                console=console,
                transient=True,
                refresh_per_second=2,
                speed_estimate_period=ETA_OVER,
            )
            self._progress.start()
            self._screen.setStream(_Above(console))
        return self._progress.add_task(what, total=total, completed=done)

    def advance(self, bar: Optional[TaskID]) -> None:
        if bar is not None:
            self._progress.advance(bar)

    def remove(self, bar: Optional[TaskID]) -> None:
        if bar is not None:
            self._progress.remove_task(bar)


class _Above:
    """A stream above the bars, whose lines are not wrapped."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def write(self, text: str) -> None:
        self.console.print(Text.from_ansi(text.rstrip('\n')), soft_wrap=True)

    def flush(self) -> None:
        pass


@HOOKS.register_module()
class ProgressHook(Hook):
    """Signs of life: what is going to be trained, how long the first iteration
    took, and on a terminal how far training, validation and test are.

    :class:`sr4ir_mm.engine.runner.Runner` has it by itself.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Log what is known now."""
        runner.logger.info(summary(runner))
        self._first = runner.iter + 1
        self._since = time.perf_counter()
        self._training = runner.bars.add(
            'Training', runner.max_iters, runner.iter
        )

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Advance; nothing here waits for the device."""
        if runner.iter + 1 == self._first:
            seconds = time.perf_counter() - self._since
            runner.logger.info(
                f'Iteration {self._first} of {runner.max_iters} is done, '
                f'{seconds:.1f} s after the start.'
            )
        runner.bars.advance(self._training)

    def after_train(self, runner: Runner) -> None:
        """Remove the bar."""
        runner.bars.remove(self._training)

    def before_val(self, runner: Runner) -> None:
        """Add a bar."""
        self._add(runner, 'Validation', runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Add a bar."""
        self._add(runner, 'Test', runner.test_dataloader)

    def _add(self, runner: Runner, what: str, loader) -> None:
        self._evaluation = runner.bars.add(what, len(loader))

    def _after_iter(self, runner: Runner, *args, **kwargs) -> None:
        runner.bars.advance(self._evaluation)

    def _remove(self, runner: Runner) -> None:
        runner.bars.remove(self._evaluation)

    after_val_iter = after_test_iter = _after_iter
    after_val = after_test = _remove


def summary(runner: Runner) -> str:
    """What a training is, in a few lines."""
    facts = dict(
        config=runner.cfg.filename or '-',
        results=runner.work_dir,
        data=', '.join(_data(runner)),
        networks=', '.join(_networks(runner)),
        recipe='\n'.join(
            describe(phase, runner.max_iters)
            for phase in runner._inner_model.phases
        ),
        length=_length(runner),
        device=_device(),
    )
    width = max(map(len, facts)) + 4
    lines = [
        f'{name:>{width}}: ' + text.replace('\n', '\n' + ' ' * (width + 2))
        for name, text in facts.items()
    ]
    return '\n'.join(['What is trained:', *lines])


def _data(runner: Runner) -> Iterator[str]:
    for name, censuses in runner._censuses.items():
        number = sum(census.num_images for census in censuses)
        yield f'{name.partition("_")[0]} {number} images'


def _networks(runner: Runner) -> Iterator[str]:
    for name, network in runner._inner_model.networks.items():
        number = sum(p.numel() for p in network.parameters())
        yield (
            f'{name} {type(network).__name__} of {number / 1e6:.2f} M '
            'parameters'
        )


def describe(phase: Phase, length: int) -> str:
    """A phase in words.

    Args:
        phase (Phase): The phase.
        length (int): Iterations of the training.
    """
    losses = []
    for loss in phase.losses:
        views = getattr(loss, 'views', None)
        of = f' of {", ".join(views)}' if isinstance(views, dict) else ''
        losses.append(f'{type(loss).__name__}{of}{_when(loss.span, length)}')
    return (
        f'{phase.name}: trains {" and ".join(phase.trains)}'
        f'{_when(phase.span, length)} by {"; ".join(losses)}'
    )


def _when(span: Span, length: int) -> str:
    first, last = (ceil(length * at) for at in (span.begin, span.end))
    begin = f' from iteration {first + 1}' if first else ''
    return begin + (f' to iteration {last}' if last < length else '')


def _length(runner: Runner) -> str:
    loop = runner.train_loop
    length = f'{runner.max_iters} iterations'
    if isinstance(loop, EpochBasedTrainLoop):
        length += f' ({runner.max_epochs} epochs)'
    sampler = loop.dataloader.batch_sampler
    size = sampler.batch_size * get_world_size()
    length += f', {size} images each'
    return length + (f'; {runner.iter} are done' if runner.iter else '')


def _device() -> str:
    device, number = get_device(), get_world_size()
    if device == 'cuda':
        device = torch.cuda.get_device_name()
    elif device == 'cpu':
        device = f'CPU, {torch.get_num_threads()} threads'
    return f'{number} x {device}' if number > 1 else device
