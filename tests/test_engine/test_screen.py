"""What one sees of a run, and what the log file keeps."""

import io
import sys
import warnings

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny import runner_cfg, toy_dataset_cfg

from sr4ir_mm.engine import Runner
from sr4ir_mm.engine.screen import describe
from sr4ir_mm.models.phase import Span


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Calling it puts it in place of the screen; pytest has one for the
    fixtures and one for the test."""
    for name in ('NO_COLOR', 'TTY_COMPATIBLE', 'FORCE_COLOR'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('TERM', 'xterm-256color')
    monkeypatch.setenv('COLUMNS', '60')

    def show():
        monkeypatch.setattr(sys, 'stdout', Terminal())
        return sys.stdout

    return show


def build(work_dir, toy_root, **kwargs):
    """A training of two iterations, with a validation."""
    loader = dict(
        batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=toy_dataset_cfg('seg', toy_root, 'val', augment=False),
    )
    cfg = runner_cfg(
        work_dir,
        toy_dataset_cfg('seg', toy_root),
        loop=dict(
            type='sr4ir_mm.AlternatingIterTrainLoop',
            max_iters=2,
            val_interval=2,
        ),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=dict(type='IoUMetric'),
        log_level='INFO',
        **kwargs,
    )
    sr_net = cfg['optim_wrapper']['sr_net']
    sr_net['optimizer']['weight_decay'] = 0.1
    sr_net['paramwise_cfg'] = dict(bias_decay_mult=0.0)
    return Runner.from_cfg(Config(cfg))


def test_the_screen_is_short_and_the_file_has_all(tmp_path, toy_root, capsys):
    runner = build(tmp_path, toy_root)
    for _ in range(2):  # pytest has Python say each time
        warnings.warn('seen in training', UserWarning, stacklevel=1)
    runner.train()
    screen = capsys.readouterr().out
    with open(runner.logger.log_file) as file:
        log = file.read()
    for text in (
        'System environment:',
        'Config:',
        'Hooks will be executed',
        'paramwise_options',
        'The prefix is not set',
    ):
        assert text in log and text not in screen
    for text in (
        'train 8 images, val 4 images',
        'sr_net EDSRNet of 0.00 M parameters',
        'sr: trains sr_net by PixelLoss; TDPLoss from iteration 2\n',
        'task: trains task_model by TaskLoss of sr, hr, cqmix\n',
        '2 iterations, 2 images each\n',
        'Iteration 1 of 2 is done, ',
        'UserWarning: seen in training',
        'mIoU',
    ):
        assert text in log and screen.count(text) >= 1
    assert screen.count('seen in training') == 1
    assert '\x1b[?25' not in screen, 'bars where there is no terminal'


def test_a_recipe_in_iterations(tmp_path, toy_root, capsys):
    """In one place: a list of phases was there once more, in other words."""
    runner = build(tmp_path, toy_root)
    before, after = runner.model.phases
    before.span, after.span = Span(0, 0.3), Span(0.3, 1)
    before.losses[1].span = Span(0.1, 0.25)
    loss = 'TDPLoss from iteration 81 to iteration 200'
    assert describe(before, 800) == (
        f'sr: trains sr_net to iteration 240 by PixelLoss; {loss}'
    )
    assert describe(after, 800).startswith(
        'task: trains task_model from iteration 241 by TaskLoss of '
    )
    before.span, after.span = Span(0, 0.5), Span(0.5, 1)
    runner.train()
    screen = capsys.readouterr().out
    assert screen.count('trains sr_net to iteration 1 by') == 1
    assert screen.count('trains sr_net') == 1


def test_bars_below_the_log_of_a_terminal(tmp_path, toy_root, terminal):
    screen = terminal()
    runner = build(tmp_path, toy_root)
    long_line = 'one line of the log ' * 10
    runner.register_hook(
        type(
            'Talk',
            (Hook,),
            dict(before_val=lambda *_: runner.logger.info(long_line)),
        )()
    )
    runner.train()
    assert f'{long_line}\n' in screen.getvalue()
    for text in ('Training', '2/2', 'Validation'):
        assert text in screen.getvalue()
    assert_as_before(runner, screen)


def test_an_error_gives_the_terminal_back(tmp_path, toy_root, terminal):
    screen = terminal()
    runner = build(tmp_path, toy_root)
    runner.register_hook(
        type('Fail', (Hook,), dict(before_train_epoch=lambda *_: 1 / 0))()
    )
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert_as_before(runner, screen)


def assert_as_before(runner, screen):
    text = screen.getvalue()
    hidden, shown = '\x1b[?25l', '\x1b[?25h'
    assert text.rindex(shown) > text.rindex(hidden)
    assert sys.stdout is screen
    assert runner.logger.handlers[0].stream is screen
