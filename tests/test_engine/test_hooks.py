import logging
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tiny import SR4IR, TASKS, model_cfg, runner_cfg

from sr4ir_mm.engine import CompileHook, SRVisualizationHook


def test_compiled_modules_run_compiled(tmp_path, toy_dataset):
    cfg = runner_cfg(
        tmp_path,
        toy_dataset,
        loop=dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=1),
        custom_hooks=[
            dict(
                type='sr4ir_mm.CompileHook',
                modules=['sr_net', 'task_model.backbone'],
                backend='eager',
            )
        ],
    )
    torch._dynamo.reset()
    runner = Runner.from_cfg(Config(cfg))
    names = set(runner.model.state_dict())
    runner.train()
    assert set(runner.model.state_dict()) == names
    for name in ('sr_net', 'task_model.backbone'):
        assert runner.model.get_submodule(name)._compiled_call_impl
    assert torch._dynamo.utils.counters['stats']['calls_captured']


def test_an_unknown_module_is_named():
    class FakeRunner:
        model = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match="the model has no 'sr_net'"):
        CompileHook(modules=['sr_net']).before_run(FakeRunner)


def first_norm(model):
    network = model.task_model
    return next(
        m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)
    )


@pytest.mark.parametrize('task', TASKS)
def test_batch_norm_has_the_statistics_of_sr_images(
    tmp_path, toy_dataset, task
):
    """And nothing else has changed."""
    states, calls = [], []
    for hook in ([], [dict(type='sr4ir_mm.PreciseBNHook', num_samples=8)]):
        cfg = runner_cfg(
            tmp_path / str(len(hook)),
            toy_dataset,
            task,
            loop=dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=3),
            custom_hooks=hook,
        )
        runner = Runner.from_cfg(Config(cfg))
        model = runner.model
        model.sr_net.register_forward_hook(lambda *_: calls.append('sr'))
        first_norm(model).register_forward_hook(
            lambda _, inputs, out: calls.append(inputs[0].mean((0, 2, 3)))
        )
        runner.train()
        states.append(
            torch.load(tmp_path / str(len(hook)) / 'iter_3.pth')['state_dict']
        )
    plain, precise = states
    moved = {k for k in plain if not torch.equal(plain[k], precise[k])}
    assert moved and all('running' in k or 'tracked' in k for k in moved)
    calls = calls[-8:]  # of the hook: one SR image for each batch of 2
    assert calls[::2] == ['sr'] * 4
    mean = torch.stack(calls[1::2]).mean(0)
    torch.testing.assert_close(first_norm(model).running_mean, mean)


ONE_BATCH = dict(type='sr4ir_mm.TaskLoss', views={'sr+hr+cqmix': 1.02})


@pytest.mark.parametrize(
    ('phases', 'updates'),
    [(SR4IR[:1], 0), ([dict(SR4IR[1], losses=[ONE_BATCH])], 2)],
    ids=['frozen', 'one batch'],
)
def test_running_statistics_that_are_right_stay(
    tmp_path, toy_dataset, phases, updates
):
    cfg = runner_cfg(
        tmp_path,
        toy_dataset,
        model=model_cfg(phases=phases),
        loop=dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=2),
        custom_hooks=[dict(type='sr4ir_mm.PreciseBNHook', num_samples=8)],
    )
    runner = Runner.from_cfg(Config(cfg))
    runner.train()
    norms = [
        module
        for module in runner.model.task_model.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert norms
    for norm in norms:
        assert norm.num_batches_tracked == updates
        assert norm.running_mean.any() == bool(updates)


@pytest.mark.parametrize(
    ('number', 'interval', 'drawn'),
    [(8, None, range(8)), (8, 3, (0, 3, 6)), (250, None, range(0, 250, 3))],
)
def test_panels_of_images_not_of_batches(
    number, interval, drawn, monkeypatch, caplog
):
    """And the log says how many."""
    monkeypatch.setattr(
        'sr4ir_mm.engine.hooks.draw_panel',
        lambda model, batch, visualizer: (None, *batch['inputs']),
    )
    runner = SimpleNamespace(
        model=None,
        iter=0,
        visualizer=Mock(),
        logger=logging.getLogger('panels'),
        test_dataloader=SimpleNamespace(sampler=range(number)),
    )
    hook = SRVisualizationHook(draw=True, interval=interval)
    with caplog.at_level(logging.INFO, 'panels'):
        hook.before_test(runner)
    assert f'Panels: {len(drawn)} of {number} images' in caplog.text
    assert ('interval=1' in caplog.text) == (len(drawn) < number)
    names = [f'image{i}' for i in range(number)]
    for index in range(0, number, 4):
        batch = dict(inputs=names[index : index + 4])
        hook.after_test_iter(runner, index // 4, batch)
    calls = runner.visualizer.add_image.call_args_list
    assert [call.args[0] for call in calls] == [
        f'test_{i:05d}_image{i}' for i in drawn
    ]
