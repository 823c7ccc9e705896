"""Features alone (HLF), feature matching, and the view that is half and half:
what is computed, how often, and what is saved."""

import copy
import weakref

import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version
from tiny import TASKS, build_model, make_batch, snapshot

from sr4ir_mm.engine import Runner
from sr4ir_mm.models import FeatureMatchingLoss, FixedTDPLoss, TDPLoss


@pytest.fixture
def teacher(tmp_path):
    """Weights of another task model, by the task."""

    def write(task):
        path = str(tmp_path / f'{task}.pth')
        source = build_model(task, seed=1)
        torch.save(dict(state_dict=source.state_dict()), path)
        return path

    return write


def recipe(name='hlf'):
    file = f'configs/_base_/recipes/{name}.py'
    return copy.deepcopy(Config.fromfile(file).recipe.phases)


def train_phase(model, phase, views):
    with model.in_phase(phase, views):
        model.zero_grad()
        losses = phase(model, views, phase.losses)
        sum(
            sum(v) if isinstance(v, list) else v
            for k, v in losses.items()
            if 'loss' in k
        ).backward()
    return losses


# ------------------------------------------------------------------- half


@pytest.mark.parametrize('num', [1, 2, 3, 4])
@pytest.mark.parametrize('task', TASKS)
def test_half_is_sr_and_half_is_hr(task, num):
    model = build_model(task)
    views = model.make_views(make_batch(task, num=num))
    sizes = []
    model.sr_net.register_forward_hook(
        lambda _, inputs, out: sizes.append(len(out))
    )
    half = views['half']
    number = (num + 1) // 2
    assert sizes == [number]
    torch.testing.assert_close(half[:number], views['sr'][:number])
    assert torch.equal(half[number:], views['hr'][number:])
    loss = model.task_loss(views, 'half')
    assert loss and views.task_input('half').shape == views.inputs.shape


def test_half_is_stale_after_an_update():
    model = build_model()
    views = model.make_views(make_batch())
    before = views['half']
    with torch.no_grad():
        for param in model.sr_net.parameters():
            param.add_(0.01)
    assert views['half'] is before
    views.refresh()
    assert not torch.equal(views['half'], before)


# -------------------------------------------------------- feature matching


@pytest.mark.parametrize('view', ['half', 'hr', 'sr+hr', 'bilinear'])
@pytest.mark.parametrize('task', TASKS)
def test_matching_takes_the_pass_of_the_task_loss(task, view, teacher):
    model = build_model(task, teacher=teacher(task))
    assert model.teacher()  # made before there are hooks to copy
    views = model.make_views(make_batch(task))
    maps, passes = [], []
    model.maps_module.register_forward_hook(
        lambda _, inputs, out: maps.append(out)
    )
    model.task_model.backbone.register_forward_hook(
        lambda *_: passes.append(model.task_model.training)
    )
    model.train()
    loss = FeatureMatchingLoss(views={view: 2.0}, weights=[0.25])
    losses = loss(model, views)
    assert passes == [True]
    target = model.features(views, 'hr', [-1], model.teacher())[0]
    target = torch.cat([target] * (view.count('+') + 1))
    mine = maps[0] if torch.is_tensor(maps[0]) else maps[0][-1]
    expected = 0.25 * (mine - target).abs().mean()
    torch.testing.assert_close(losses[f'{view}.loss_fm'], expected)
    assert len(losses) > 1 and not target.requires_grad


def test_matching_at_a_named_module(teacher):
    model = build_model(teacher=teacher('seg'))
    views = model.make_views(make_batch())
    loss = FeatureMatchingLoss(views=dict(hr=1.0), taps=['backbone.layer1'])
    assert loss(model, views)['hr.loss_fm'] > 0
    loss = FeatureMatchingLoss(views=dict(hr=1.0), taps=['backbone.layer9'])
    with pytest.raises(ValueError, match="no module 'backbone.layer9'"):
        loss(model, views)


# ------------------------------------------------------------------ passes


@pytest.mark.parametrize('task', TASKS)
def test_no_more_passes_than_needed(task, teacher):
    """Of HR, one by each network, in both phases together."""
    model = build_model(task, phases=recipe(), teacher=teacher(task))
    views = model.make_views(make_batch(task))
    passes = dict(task_model=0, teacher=0)

    def count(name):
        def hook(*_):
            passes[name] += 1

        return hook

    model.teacher().backbone.register_forward_hook(count('teacher'))
    model.task_model.backbone.register_forward_hook(count('task_model'))
    for phase in model.phases:
        train_phase(model, phase, views)
    # T: HR and SR in phase sr, the mixed batch in phase task
    assert passes == dict(task_model=3, teacher=2)


def test_pieces_of_a_batch_keep_the_teachers_features(teacher):
    model = build_model(phases=recipe(), teacher=teacher('seg'))
    views = model.make_views(make_batch(num=4))
    with model.in_phase(model.phases[0], views), torch.no_grad():
        for piece in views.split(2):
            FixedTDPLoss()(model, piece)
    views.refresh()
    kept = views.kept['hr'][-1]
    expected = model.features(views, 'hr', [-1], model.teacher())[0]
    torch.testing.assert_close(kept, expected)


# ----------------------------------------------------------------- teacher


def test_the_teacher_is_one_and_not_saved(teacher):
    model = build_model(phases=recipe(), teacher=teacher('seg'))
    names = set(model.state_dict())
    views = model.make_views(make_batch())
    before = snapshot(model.teacher())
    for phase in model.phases:
        train_phase(model, phase, views)
    assert model.teacher() is model.teacher()
    assert set(model.state_dict()) == names
    assert not model.teacher().training
    for key, value in model.teacher().state_dict().items():
        assert torch.equal(value, before[key])
    assert all(p.grad is None for p in model.teacher().parameters())
    twin = copy.deepcopy(model)  # as a moving average makes it
    assert twin.teacher() is model.teacher()


def test_no_teacher():
    model = build_model()
    with pytest.raises(ValueError, match='model.teacher is not set'):
        FixedTDPLoss()(model, model.make_views(make_batch()))


# ------------------------------------------------------------------ anchor


def test_near_what_a_frozen_sr_network_makes(tmp_path, teacher):
    source = build_model(seed=3)
    path = str(tmp_path / 'anchor.pth')
    torch.save(dict(state_dict=source.state_dict()), path)
    model = build_model(
        phases=recipe('hlf_reg'), teacher=teacher('seg'), anchor=path
    )
    views = model.make_views(make_batch())
    losses = train_phase(model, model.phases[0], views)
    assert set(losses) == {
        'loss_tdp',
        'loss_tdp_anchor',
        'loss_fixed_tdp',
        'loss_fixed_tdp_anchor',
    }
    with torch.no_grad():
        expected = source.sr_net(views['lr'])
    torch.testing.assert_close(views['anchor'], expected)
    sr, anchor = (
        model.features(views, view, [-1])[0] for view in ('sr', 'anchor')
    )
    distance = 0.1 * 0.5 * (sr - anchor).abs().mean()
    torch.testing.assert_close(losses['loss_tdp_anchor'], distance)
    with pytest.raises(ValueError, match='targets=.*expected weights'):
        TDPLoss(targets=dict(lr=1.0))


# -------------------------------------------------------- train and resume


def test_hlf_trains_and_resumes_exactly(tmp_path, toy_dataset, teacher):
    from tiny import model_cfg, runner_cfg

    def run(folder, **kwargs):
        model = model_cfg(phases=recipe(), teacher=teacher('seg'))
        loop = dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=4)
        loop.update(kwargs.pop('loop', {}))
        cfg = runner_cfg(folder, toy_dataset, model=model, loop=loop, **kwargs)
        Runner.from_cfg(Config(cfg)).train()
        return folder

    whole = torch.load(run(tmp_path / 'whole') / 'iter_4.pth')
    part = run(tmp_path / 'part', loop=dict(max_iters=4))
    for name in ('iter_3.pth', 'iter_4.pth'):
        (part / name).unlink()
    (part / 'last_checkpoint').write_text(str(part / 'iter_2.pth'))
    again = torch.load(run(part, resume=True) / 'iter_4.pth')
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, again['state_dict'][key])


class Held:
    """What a graph keeps of a forward pass."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_one_graph_is_alive_at_a_time(teacher):
    """A loss that looks through a network has let go of its maps when the
    next one begins."""
    model = build_model(phases=recipe(), teacher=teacher('seg'))
    views = model.make_views(make_batch())
    alive, inside, most = weakref.WeakSet(), [], []

    def pack(tensor):
        held = Held(tensor)
        if inside:
            alive.add(held)
        return held

    def begin(*_):
        most.append(len(alive))
        inside.append(1)

    for network in (model.task_model, model.teacher()):
        network.backbone.register_forward_pre_hook(begin)
        network.backbone.register_forward_hook(lambda *_: inside.clear())
    phase = model.phases[0]
    with model.in_phase(
        phase, views
    ), torch.autograd.graph.saved_tensors_hooks(
        pack, lambda held: held.tensor
    ):
        losses = phase(model, views, phase.losses)
        assert most == [0, 0, 0, 0] and not alive
        sum(losses.values()).backward()
    assert any(p.grad.abs().sum() > 0 for p in model.sr_net.parameters())


@pytest.mark.parametrize('kind', [TDPLoss, FixedTDPLoss])
def test_gradient_is_that_of_the_loss(kind, teacher):
    """Of two targets, and weighted again afterwards."""
    model = build_model(teacher=teacher('seg'), anchor=None).double()
    model.task_model.eval().requires_grad_(False)
    views = model.make_views(make_batch())
    loss = kind(taps=(0, -1), weights=(0.5, 2.0))
    found = 3 * loss(model, views)[f'loss_{loss.name}']
    network = loss.network(model)
    sr, hr = (
        model.extract_maps(views.task_input(name), network)
        for name in ('sr', 'hr')
    )
    expected = 3 * (
        0.5 * (sr[0] - hr[0]).abs().mean() + 2 * (sr[1] - hr[1]).abs().mean()
    )
    weights = list(model.sr_net.parameters())
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, weights, retain_graph=True),
        torch.autograd.grad(expected, weights),
    )


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='autocast on CPUs knows bfloat16 alone',
)
def test_balance_in_float16():
    model = build_model()
    model.task_model.requires_grad_(False)
    views = model.make_views(make_batch())
    with torch.autocast('cpu', torch.float16), pytest.raises(
        ValueError, match=r'TDPLoss\.balance=1\.0: .*BF16OptimWrapper'
    ):
        TDPLoss(balance=1.0)(model, views)
    with torch.autocast('cpu', torch.float16):  # the loss is scaled later
        loss = TDPLoss()(model, views)['loss_tdp']
    scaled = torch.autograd.grad(2.0**12 * loss, views['sr'])[0]
    assert scaled.isfinite().all() and scaled.abs().sum() > 0
