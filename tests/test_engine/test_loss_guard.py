"""Numbers that go wrong."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny import TASKS, build_model, make_batch, runner_cfg

from sr4ir_mm.engine import Runner
from sr4ir_mm.models.losses import PixelLoss, TaskLoss

LOOP = dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=4)


def spoil(monkeypatch, cls, key, iterations, value=math.nan):
    """Let a loss be NaN in some iterations."""
    forward = cls.forward
    times = []

    def wrapper(self, model, views):
        losses = forward(self, model, views)
        if torch.is_grad_enabled():  # no dry run
            times.append(1)
            if len(times) - 1 in iterations:
                losses[key] = losses[key] * value
        return losses

    monkeypatch.setattr(cls, 'forward', wrapper)


class Weights(Hook):
    """After each iteration."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, *args, **kwargs):
        state = runner.model.state_dict()
        self.seen.append({k: v.clone() for k, v in state.items()})


def train(tmp_path, dataset, hooks=(), loop=LOOP, **kwargs):
    cfg = runner_cfg(tmp_path, dataset, loop=loop, **kwargs)
    runner = Runner.from_cfg(Config(cfg))
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_stops_before_the_weights_move(
    tmp_path, toy_dataset, monkeypatch, value
):
    spoil(monkeypatch, PixelLoss, 'loss_pixel', [2], value)
    weights = Weights()
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, toy_dataset, [weights])
    assert "Iteration 2, phase 'sr': loss_pixel is" in str(error.value)
    assert str(error.value).count('.jpg') == 2
    assert 'loss_tdp' not in str(error.value)
    assert len(weights.seen) == 2
    saved = torch.load(tmp_path / 'iter_2.pth')['state_dict']
    assert all(v.isfinite().all() for v in saved.values())
    assert not (tmp_path / 'iter_3.pth').exists()


def test_leaves_updates_out(tmp_path, toy_dataset, monkeypatch):
    """One network stays as it is, the other one moves; BatchNorm, too."""
    spoil(monkeypatch, TaskLoss, 'sr.decode.loss_ce', [1, 4])
    monkeypatch.setattr(TaskLoss, 'split', lambda self: [self])
    weights = Weights()
    loop = dict(LOOP, skip_not_finite=1)
    runner = train(tmp_path, toy_dataset, [weights], loop)
    assert runner.train_loop.guard.num_skipped == 1
    before, after = weights.seen[:2]
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed and all(k.startswith('sr_net.') for k in changed)
    assert any(k.startswith('task_model.') for k in changed_by(weights, 1))


def changed_by(weights, i):
    before, after = weights.seen[i : i + 2]
    return {k for k in before if not torch.equal(before[k], after[k])}


def test_too_many_in_a_row(tmp_path, toy_dataset, monkeypatch):
    spoil(monkeypatch, PixelLoss, 'loss_pixel', [0, 2, 3])
    with pytest.raises(FloatingPointError, match=r'Iteration 3.*2 in a row'):
        train(tmp_path, toy_dataset, loop=dict(LOOP, skip_not_finite=1))


def test_learning_rate(tmp_path, toy_dataset):
    class Spoil(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            groups = runner.optim_wrapper['sr_net'].param_groups
            groups[0]['lr'] = math.inf

    with pytest.raises(FloatingPointError, match='rate of sr_net is inf'):
        train(tmp_path, toy_dataset, [Spoil()])
    saved = torch.load(tmp_path / 'iter_1.pth')['state_dict']
    assert all(v.isfinite().all() for v in saved.values())


@pytest.mark.parametrize('task', ['seg', 'det'])
def test_nothing_to_learn_is_no_alarm(task):
    """A crop that is ignored as a whole, an image without boxes."""
    model = build_model(task)
    batch = make_batch(task)
    for sample in batch['data_samples']:
        if task == 'seg':
            sample.gt_sem_seg.data.fill_(255)
        else:
            sample.gt_instances = sample.gt_instances[:0]
    views = model.make_views(batch)
    for phase in model.phases:
        with model.in_phase(phase, views):
            loss, _ = model.parse_losses(phase(model, views, phase.losses))
        assert loss.isfinite()
        loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    assert TASKS[task]['losses']
