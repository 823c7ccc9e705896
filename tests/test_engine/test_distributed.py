import copy
import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from tiny import TASKS, build_model, model_cfg, runner_cfg, toy_dataset_cfg
from torch.distributed.elastic.utils.distributed import get_free_port


@pytest.fixture
def cfg(tmp_path, toy_root, task):
    """SR4IR with nothing that depends on how images are spread over
    processes: no augmentation, BatchNorm frozen, plain SGD."""
    task_model = copy.deepcopy(TASKS[task]['model'])
    task_model['backbone']['norm_eval'] = True
    if task == 'seg':
        task_model['decode_head'].update(
            norm_cfg=None,
            dropout_ratio=0,
            loss_decode=dict(type='CrossEntropyLoss'),
        )
    model = model_cfg(
        task, task_model=task_model, cqmix=dict(type='CQMixByContent', grid=2)
    )
    dataset = toy_dataset_cfg(task, toy_root, augment=False)
    dataset['indices'] = 8
    sgd = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05))
    cfg = runner_cfg(
        tmp_path,
        dataset,
        task,
        model=model,
        custom_imports=dict(imports=['dist_probe']),
        custom_hooks=[dict(type='SaveEachRank')],
        sync_bn='torch',
        env_cfg=dict(dist_cfg=dict(backend='nccl')),
    )
    cfg['train_dataloader']['sampler']['shuffle'] = False
    cfg['optim_wrapper'].update(sr_net=sgd, task_model=sgd)
    return Config(cfg)


def launch(cfg, tmp_path, name, command, batch_size):
    """Returns the weights of each process."""
    work_dir = tmp_path / name
    cfg = copy.deepcopy(cfg)
    cfg.train_dataloader.batch_size = batch_size
    cfg.dump(tmp_path / f'{name}.py')
    env = dict(
        os.environ,
        PYTHON=sys.executable,
        PYTHONPATH='tests:.',
        PORT=str(get_free_port()),
        OMP_NUM_THREADS='1',
    )
    done = subprocess.run(
        [
            *command[:2],
            str(tmp_path / f'{name}.py'),
            *command[2:],
            '--work-dir',
            str(work_dir),
        ],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [torch.load(path) for path in sorted(work_dir.glob('rank*.pth'))]


@pytest.mark.parametrize('task', TASKS)
def test_two_processes_are_one(cfg, tmp_path):
    """8 images, 2 epochs: 4 steps on the same global batch of 4. The config
    asks for NCCL and SyncBN, which the script replaces without a GPU."""
    first, second = launch(
        cfg, tmp_path, 'two', ['bash', 'tools/dist_train.sh', '2'], 2
    )
    (single,) = launch(
        cfg, tmp_path, 'one', [sys.executable, 'tools/train.py'], 4
    )
    for key, value in single.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], value, rtol=1e-4, atol=1e-6)


def test_four_processes_accumulate_in_bfloat16(cfg, tmp_path):
    """2 steps, each of two batches of 4. Sums in bfloat16 depend on how the
    images are spread, by what its 8 bits leave."""
    for name in ('sr_net', 'task_model'):
        cfg.optim_wrapper[name].update(
            type='sr4ir_mm.BF16OptimWrapper', accumulative_counts=2
        )
    four = launch(
        cfg, tmp_path, 'four', ['bash', 'tools/dist_train.sh', '4'], 1
    )
    (single,) = launch(
        cfg, tmp_path, 'one', [sys.executable, 'tools/train.py'], 4
    )
    start = torch.load(tmp_path / 'one' / 'start.pth')
    for key, value in single.items():
        assert all(torch.equal(four[0][key], each[key]) for each in four), key
        if value.is_floating_point():
            step, error = (value - start[key]), (four[0][key] - value)
            assert error.norm() <= 0.05 * step.norm() + 1e-6, key
    moved = [key for key in single if not torch.equal(single[key], start[key])]
    assert {key.split('.')[0] for key in moved} == {'sr_net', 'task_model'}


@pytest.mark.parametrize('kind', ['OptimWrapper', 'sr4ir_mm.BF16OptimWrapper'])
def test_two_processes_learn_from_features_alone(cfg, tmp_path, kind):
    """As one, with the teacher: of four images, the first two are SR. In
    bfloat16, where the differences of features are small their signs, which
    are the gradient of L1, depend on how the images are spread."""
    teacher = str(tmp_path / 'teacher.pth')
    torch.save(build_model(seed=1).state_dict(), teacher)
    file = 'configs/_base_/recipes/hlf.py'
    cfg.model.update(
        phases=Config.fromfile(file).recipe.phases, teacher=teacher
    )
    for name in ('sr_net', 'task_model'):
        cfg.optim_wrapper[name].type = kind
    first, second = launch(
        cfg, tmp_path, 'two', ['bash', 'tools/dist_train.sh', '2'], 2
    )
    (single,) = launch(
        cfg, tmp_path, 'one', [sys.executable, 'tools/train.py'], 4
    )
    start = torch.load(tmp_path / 'one' / 'start.pth')
    assert not any('teacher' in key for key in single)
    for key, value in single.items():
        assert torch.equal(first[key], second[key]), key
        if value.is_floating_point():
            step, error = (value - start[key]), (first[key] - value)
            share = 1e-3 if kind == 'OptimWrapper' else 0.2
            assert error.norm() <= share * step.norm() + 1e-6, key
    moved = [key for key in single if not torch.equal(single[key], start[key])]
    assert {key.split('.')[0] for key in moved} == {'sr_net', 'task_model'}


def test_training_moved_both_networks(cfg, tmp_path):
    """So that the above does not compare what never moved."""
    from mmengine.runner import Runner

    cfg.train_cfg.max_epochs = 1
    cfg.custom_imports = None
    cfg.model.cqmix = dict(type='sr4ir_mm.CQMix', grid=2)
    cfg.custom_hooks = None
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.model.init_weights = lambda: None
    runner.train()
    for prefix in ('sr_net.conv_first.weight', 'task_model.backbone.conv1'):
        assert any(
            not torch.equal(v, before[k])
            for k, v in runner.model.state_dict().items()
            if k.startswith(prefix)
        ), prefix


def test_without_find_unused_parameters(cfg, tmp_path):
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel')
    with pytest.raises(AssertionError, match='find_unused_parameters=True'):
        launch(cfg, tmp_path, 'two', ['bash', 'tools/dist_train.sh', '2'], 2)
