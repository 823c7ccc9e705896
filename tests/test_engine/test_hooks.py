import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tiny import runner_cfg

from sr4ir_mm.engine import CompileHook


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
