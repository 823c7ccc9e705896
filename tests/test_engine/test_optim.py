import copy
import logging
import sys
import weakref
from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from tiny import JOINT, SR4IR, TASKS, build_model, make_batch, moved, snapshot

from sr4ir_mm.engine import BF16OptimWrapper, PhaseUpdate

TASK_PHASE = SR4IR[1]


def wrap(network, cls=OptimWrapper, **kwargs):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return cls(optimizer=optimizer, **kwargs)


def update(model, progress=0.5, wrappers=None, times=1):
    """Of the first phase; returns its log."""
    (phase,) = model.phases
    wrappers = wrappers or [wrap(model.networks[n]) for n in phase.trains]
    run = PhaseUpdate(phase, wrappers)
    views = model.make_views(make_batch(model.task))
    for _ in range(times):
        log = run(model, views, progress)
    return log


@pytest.fixture(autouse=True)
def no_dropout(monkeypatch):
    for name in ('dropout', 'dropout2d'):
        monkeypatch.setattr(torch.nn.functional, name, lambda x, *_: x)


def parameters_of(network):
    return {name: p.clone() for name, p in network.named_parameters()}


def equal(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)


def build(task='seg', phase=JOINT[0], **kwargs):
    model = build_model(task, phases=[phase], **kwargs)
    model.task = task
    return model


def gradients_of_the_sum(model, progress=0.5):
    """Of all losses of the phase, by one backward pass."""
    (phase,) = model.phases
    views = model.make_views(make_batch(model.task))
    with model.in_phase(phase, views):
        active = [loss for loss in phase.losses if progress in loss.span]
        loss, _ = model.parse_losses(phase(model, views, active))
        loss.backward()
    return {name: p.grad for name, p in model.named_parameters()}, loss


@pytest.mark.parametrize('task', TASKS)
def test_parts_add_up_to_one_backward_pass(task, float64):
    """Statistics of BatchNorm and the reported sum too."""
    torch.set_default_dtype(torch.float64)
    try:
        mask = torch.rand(2, 1, 8, 8) < 0.5
        pair = [build(task, TASK_PHASE).double() for _ in range(2)]
        for model in pair:
            model.cqmix.draw_mask = lambda sr: mask
        expected, loss = gradients_of_the_sum(pair[1])
        before = snapshot(pair[0])
        log = update(pair[0])
    finally:
        torch.set_default_dtype(torch.float32)
    assert log['loss'].item() == pytest.approx(loss.item(), rel=1e-12)
    for name, param in pair[0].named_parameters():
        step = before[name] - param
        grad = expected[name]
        grad = torch.zeros_like(step) if grad is None else grad
        torch.testing.assert_close(step, 0.1 * grad, rtol=0, atol=1e-12)
    for (name, a), (_, b) in zip(
        pair[0].named_buffers(), pair[1].named_buffers()
    ):
        assert torch.equal(a, b), name


class Token:
    """What only a graph refers to."""


class Hold(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, token):
        ctx.token = token
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def test_a_single_graph_is_alive_at_a_time(monkeypatch):
    """The graph of a view is gone when the next view is looked at."""
    model = build('seg', TASK_PHASE)
    alive, seen = [], []
    loss = model.task_model.loss

    def watch(inputs, samples):
        seen.append(sum(flag() is not None for flag in alive))
        found = loss(inputs, samples)
        token = Token()
        alive.append(weakref.ref(token))
        found['decode.loss_ce'] = Hold.apply(found['decode.loss_ce'], token)
        return found

    monkeypatch.setattr(model.task_model, 'loss', watch)
    update(model)
    assert seen == [0, 0, 0]


def test_a_phase_that_trains_the_sr_network_is_one_part():
    model = build(phase=JOINT[0])
    views = model.make_views(make_batch())
    assert len(model.phases[0].parts(views, 0.5)) == 1


def test_every_loss_ends_in_the_last_part():
    extra = dict(type='sr4ir_mm.DiscriminatorLoss')
    phase = dict(TASK_PHASE, losses=[*TASK_PHASE['losses'], extra])
    model = build(phase=phase)
    views = model.make_views(make_batch())
    parts = model.phases[0].parts(views, 0.5)
    assert [len(part.losses) for part in parts] == [1, 1, 2]


def test_ddp_reduces_gradients_in_the_last_part_only(monkeypatch):
    model = build('seg', TASK_PHASE)
    events = []

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = model

        @contextmanager
        def no_sync(self):
            events.append('no_sync')
            yield

        def forward(self, *args, **kwargs):
            events.append('forward')
            return self.module(*args, **kwargs)

    monkeypatch.setattr(
        sys.modules['sr4ir_mm.engine.optim'],
        'is_model_wrapper',
        lambda m: isinstance(m, Wrapped),
    )
    views = model.make_views(make_batch())
    run = PhaseUpdate(model.phases[0], [wrap(model.task_model)])
    run(Wrapped(), views, 0.5)
    assert events == ['no_sync', 'forward'] * 2 + ['forward']


def test_joint_steps_every_network_once():
    model = build()
    expected, _ = gradients_of_the_sum(build())
    before = snapshot(model)
    update(model)
    for name, param in model.named_parameters():
        torch.testing.assert_close(
            before[name] - param, 0.1 * expected[name], rtol=1e-3, atol=1e-6
        )
        assert param.grad is None


def test_each_network_is_clipped_by_itself():
    model = build()
    before = snapshot(model)
    networks = model.networks
    update(
        model,
        wrappers=[
            wrap(networks['sr_net'], clip_grad=dict(max_norm=0.01)),
            wrap(networks['task_model']),
        ],
    )

    def step(name):
        return torch.cat(
            [
                (p - before[f'{name}.{key}']).flatten()
                for key, p in networks[name].named_parameters()
            ]
        ).norm()

    assert step('sr_net').item() == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert step('task_model') > 0.1 * 0.02


@pytest.mark.parametrize('phase', [JOINT[0], TASK_PHASE])
def test_accumulation_counts_phases_not_parts(phase):
    model = build(phase=phase)
    before = parameters_of(model)
    wrappers = [
        wrap(model.networks[name], accumulative_counts=2)
        for name in model.phases[0].trains
    ]
    update(model, wrappers=wrappers)
    assert equal(before, parameters_of(model))
    update(model, wrappers=wrappers)
    assert not equal(before, parameters_of(model))
    assert wrappers[0]._inner_count == 2


def test_wrappers_must_agree():
    model = build()
    first, second = model.networks.values()
    wrappers = [wrap(first, accumulative_counts=2), wrap(second)]
    with pytest.raises(ValueError, match='same `type` and `accumulative'):
        PhaseUpdate(model.phases[0], wrappers)


PIXEL_ALONE = dict(
    name='joint',
    trains=['sr_net', 'task_model'],
    losses=[dict(type='sr4ir_mm.PixelLoss')],
)


def test_a_network_that_no_loss_reaches_is_told_once(caplog, monkeypatch):
    model = build(phase=PIXEL_ALONE)
    before = parameters_of(model.task_model)
    logger = logging.getLogger('test')
    monkeypatch.setattr(
        'sr4ir_mm.engine.optim.MMLogger.get_current_instance', lambda: logger
    )
    update(model, times=3)
    (record,) = caplog.records
    assert "'joint' trains task_model, which gets no" in record.message
    assert equal(before, parameters_of(model.task_model))


@pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'), reason='PyTorch has none for CPUs'
)
def test_mixed_precision_with_a_network_that_no_loss_reaches(monkeypatch):
    module = sys.modules['mmengine.optim.optimizer.amp_optimizer_wrapper']
    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    model = build(phase=PIXEL_ALONE)
    wrappers = [wrap(n, AmpOptimWrapper) for n in model.networks.values()]
    for wrapper in wrappers:
        wrapper.loss_scaler = torch.amp.GradScaler('cpu')
    before = snapshot(model.sr_net)
    update(model, wrappers=wrappers)
    assert moved(model.sr_net, before)


def test_bfloat16_is_computes_and_float32_keeps():
    model = build('seg', TASK_PHASE)
    seen = {}
    for name in ('sr_net.conv_first', 'task_model.backbone.conv1'):
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: seen.update({name: out.dtype})
        )
    before = parameters_of(model.task_model)
    update(model, wrappers=[wrap(model.task_model, BF16OptimWrapper)])
    assert set(seen.values()) == {torch.bfloat16}
    after = parameters_of(model.task_model)
    assert not equal(before, after)
    assert {value.dtype for value in after.values()} == {torch.float32}


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_mixed_precision_scales_once():
    model = build().to('cuda')
    expected = copy.deepcopy(model)
    expected.task = model.task
    expected, _ = gradients_of_the_sum(expected)
    before = snapshot(model)
    update(
        model,
        wrappers=[wrap(n, AmpOptimWrapper) for n in model.networks.values()],
    )
    for name, param in model.named_parameters():
        torch.testing.assert_close(
            before[name] - param, 0.1 * expected[name], rtol=1e-1, atol=1e-2
        )
