"""What the recipes of the paper compute, and what they do not."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from tiny import TASKS, build_model, make_batch, moved, snapshot

from sr4ir_mm.engine import PhaseUpdate

OPTIM = dict(
    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
    **{
        name: dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
        for name in ('sr_net', 'task_model')
    },
)


def load_recipe(name):
    recipe = Config.fromfile(f'configs/_base_/recipes/{name}.py').recipe
    return copy.deepcopy(recipe.to_dict())


def train(model, task, iters=4, before_step=None):
    """The phases of a short training, as the loop runs them."""
    names = {n for phase in model.phases for n in phase.trains}
    cfg = {k: v for k, v in OPTIM.items() if k in {'constructor', *names}}
    optimizers = build_optim_wrapper(model, copy.deepcopy(cfg))
    views = model.make_views(make_batch(task))
    model.rehearse(views)
    if before_step:
        model.register_forward_pre_hook(
            lambda _, args: before_step(args[0].phase, args[0].views)
        )
    for i in range(iters):
        for phase in model.phases:
            if i / iters in phase.span:
                wrappers = [optimizers[name] for name in phase.trains]
                PhaseUpdate(phase, wrappers)(model, views, i / iters)
    return views


def forbid(monkeypatch, module, *names):
    def forbidden(*args, **kwargs):
        raise AssertionError('must not run')

    for name in names:
        monkeypatch.setattr(module, name, forbidden)


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('recipe', ['t2s', 't2s_2nd', 'tdsr', 'tdp'])
def test_t2s_gives_the_task_model_no_gradient(task, recipe):
    """Not one of its parameters, at any step that trains the SR network."""
    model = build_model(task, phases=load_recipe(recipe)['phases'])
    phase_name, received = [None], []

    def note_phase(phase, views):
        phase_name[0] = phase.name
        if phase.name == 'sr':
            for parameter in model.task_model.parameters():
                assert not parameter.requires_grad
                # what reaches a parameter is kept here till the next step
                parameter.grad = None

    for name, parameter in model.task_model.named_parameters():
        if parameter.requires_grad:
            parameter.register_hook(
                lambda grad, name=name: received.append((phase_name[0], name))
            )
    train(model, task, before_step=note_phase)
    assert 'sr' == phase_name[0]
    assert all(phase == 'task' for phase, _ in received)
    assert bool(received) == (recipe in ('t2s', 'tdsr'))
    assert all(p.grad is None for p in model.task_model.parameters())


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('recipe', ['s2t', 's2t_2nd'])
def test_s2t_builds_no_graph_through_the_sr_net(task, recipe):
    model = build_model(task, phases=load_recipe(recipe)['phases'])
    outputs = []
    phases = []
    model.sr_net.register_forward_hook(
        lambda module, args, sr: outputs.append((phases[-1:], sr))
    )
    train(
        model,
        task,
        before_step=lambda phase, views: phases.append(phase.name),
    )
    of_task = [sr for names, sr in outputs if names == ['task']]
    assert of_task
    assert all(sr.grad_fn is None for sr in of_task)
    of_sr = [sr for names, sr in outputs if names == ['sr']]
    assert all(sr.grad_fn is not None for sr in of_sr)
    assert bool(of_sr) == (recipe == 's2t')


@pytest.mark.parametrize('task', TASKS)
def test_h2t_needs_neither_lr_nor_an_sr_net(task, monkeypatch):
    recipe = load_recipe('h2t')
    model = build_model(task, **recipe)
    assert model.sr_net is None
    forbid(monkeypatch, model.degradation, 'forward')
    before = snapshot(model.task_model)
    train(model, task)
    assert moved(model.task_model, before)
    model.eval()
    with torch.no_grad():
        sample = model.test_step(make_batch(task, num=1))[0]
    assert torch.equal(sample.pred_img, sample.gt_img)


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('recipe', ['l2t', 'lh2t'])
def test_l2t_needs_no_sr_net(task, recipe):
    model = build_model(task, **load_recipe(recipe))
    views = train(model, task)
    assert set(views._made) <= {'hr', 'lr', 'bilinear'}


@pytest.mark.parametrize('task', TASKS)
def test_sr_alone_never_runs_the_task_model(task, monkeypatch):
    model = build_model(task, **load_recipe('sr'))
    forbid(monkeypatch, model.task_model, 'forward', 'loss', 'extract_feat')
    task_model, sr_net = snapshot(model.task_model), snapshot(model.sr_net)
    train(model, task)
    assert moved(model.sr_net, sr_net)
    assert not moved(model.task_model, task_model)


@pytest.mark.parametrize('task', TASKS)
def test_joint_tdp_trains_the_task_model_through_tdp(task):
    """Ablation (C): its TDP loss alone moves both networks."""
    cfg = Config.fromfile(
        'configs/ablations/perceptual-joint_deeplabv3_voc_x8.py'
    )
    (phase,) = cfg.model.phases
    assert phase.trains == ['sr_net', 'task_model']
    phase = phase.to_dict()
    phase['losses'] = [
        loss for loss in phase['losses'] if 'TDP' in loss['type']
    ]
    phase['begin'] = phase['losses'][0]['begin']
    model = build_model(task, phases=[phase])
    views = model.make_views(make_batch(task))
    with model.in_phase(model.phases[0], views):
        (part,) = model.phases[0].parts(views, 0.5)
        losses = model(part, mode='loss')
        losses['loss_tdp'].backward()
    for network in model.networks.values():
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        assert any(grad.abs().max() > 0 for grad in grads)


def test_tdsr_has_the_task_loss_late_and_little():
    task, sr = load_recipe('tdsr')['phases']
    loss = sr['losses'][1]
    assert loss['views'] == dict(sr=0.01)
    # a third of the SR network's training
    fraction = (loss['begin'] - sr['begin']) / (1 - sr['begin'])
    assert fraction == pytest.approx(1 / 3)
    assert task['end'] == sr['begin']
