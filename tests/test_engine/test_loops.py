import copy

import numpy as np
import pytest
import torch
from fake_data import write_raster
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny import JOINT, SR4IR, TASKS, model_cfg, plain, runner_cfg
from torch.utils.data import DataLoader

from sr4ir_mm.engine.loops import _SeededBatches

EPOCH = dict(type='sr4ir_mm.AlternatingEpochTrainLoop', max_epochs=4)
ITER = dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=8)


class Recorder(Hook):
    """What the loop shows to hooks."""

    priority = 'LOWEST'

    def __init__(self):
        self.logs = []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.logs.append({k: float(v) for k, v in outputs.items()})


class StepCounter(Hook):
    """The iterations in which each optimizer stepped."""

    def before_train(self, runner):
        # Not by the optimizer's own hooks: in PyTorch 2.1 these are gone for
        # good once something in the process has been compiled.
        self.steps = {name: [] for name in runner.optim_wrapper.keys()}
        for name, wrapper in runner.optim_wrapper.items():
            wrapper.step = self._count(wrapper.step, name, runner)

    def _count(self, step, name, runner):
        def counted(**kwargs):
            self.steps[name].append(runner.iter)
            step(**kwargs)

        return counted


def seed_worker(number):
    torch.manual_seed(number)


class Death(Exception):
    pass


class DieAt(Hook):
    """Ends the training as a power cut would: nothing is cleaned up."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise Death


def train(cfg, *hooks):
    runner = Runner.from_cfg(Config(cfg))
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('loop', [EPOCH, ITER])
def test_each_network_steps_once_per_batch(tmp_path, toy_dataset, task, loop):
    recorder = Recorder()
    toy_dataset['indices'] = 8  # there are 16 images for classification
    cfg = runner_cfg(tmp_path, toy_dataset, task, loop=loop)
    counter = StepCounter()
    runner = train(cfg, recorder, counter)
    steps = counter.steps
    iters = runner.max_iters
    assert iters == (16 if 'max_epochs' in loop else 8)
    assert steps == dict.fromkeys(steps, list(range(iters)))
    assert len(recorder.logs) == iters
    first, last = recorder.logs[0], recorder.logs[-1]
    assert {
        'sr/loss',
        'sr/loss_pixel',
        'task/loss',
        f'task/cqmix.{TASKS[task]["losses"][0]}',
    } <= set(first)
    # which mmdet's CheckInvalidLossHook looks at
    assert first['loss'] == pytest.approx(
        first['sr/loss'] + first['task/loss']
    )
    assert 'sr/loss_tdp' not in first and 'sr/loss_tdp' in last
    losses = [log['sr/loss_pixel'] for log in recorder.logs]
    assert sum(losses[-4:]) < sum(losses[:4])


def test_task_phase_sees_the_updated_sr_network(
    tmp_path, toy_dataset, monkeypatch
):
    from sr4ir_mm.models.losses import PixelLoss, TaskLoss

    seen = {}

    def spy(cls):
        forward = cls.forward

        def wrapper(self, model, views):
            seen[cls] = views['sr'].detach().clone()
            seen['lr'] = views['lr']
            return forward(self, model, views)

        monkeypatch.setattr(cls, 'forward', wrapper)

    spy(PixelLoss)
    spy(TaskLoss)
    runner = train(
        runner_cfg(tmp_path, toy_dataset, loop=dict(ITER, max_iters=1))
    )
    assert not torch.equal(seen[PixelLoss], seen[TaskLoss])
    with torch.no_grad():
        updated = runner.model.sr_net(seen['lr'])
    torch.testing.assert_close(updated, seen[TaskLoss])


@pytest.mark.parametrize(
    'loop,last',
    [
        (EPOCH, 'epoch_4.pth'),
        (ITER, 'iter_8.pth'),
    ],
)
@pytest.mark.parametrize(
    'task,num_workers', [('seg', 0), ('seg', 1), ('det', 1), ('cls', 1)]
)
def test_resumed_training_ends_bit_identical(
    tmp_path, toy_dataset, task, loop, last, num_workers
):
    """Random crops, flips, CQMix masks and dropout included."""
    toy_dataset['indices'] = 8
    cfg = runner_cfg(tmp_path / 'a', toy_dataset, task, loop=loop)
    cfg['train_dataloader'].update(
        num_workers=num_workers, persistent_workers=num_workers > 0
    )
    expected = train(cfg).model.state_dict()

    cfg = dict(cfg, work_dir=str(tmp_path / 'b'))
    with pytest.raises(Death):
        train(
            dict(copy.deepcopy(cfg), experiment_name=f'{tmp_path.name}b'),
            DieAt(6),
        )
    assert not (tmp_path / 'b' / last).exists()
    recorder = Recorder()
    resumed = train(
        dict(cfg, resume=True, experiment_name=f'{tmp_path.name}c'), recorder
    )
    # from the last checkpoint before: an epoch has 4, or they are at any
    done = 4 if 'max_epochs' in loop else 6
    assert len(recorder.logs) == resumed.iter - done
    assert resumed.iter == (16 if 'max_epochs' in loop else 8)
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key]), key


@pytest.fixture
def scenes(tmp_path):
    """Pairs of four bands and 12 bits, in windows."""
    pytest.importorskip('rasterio')
    rng = np.random.default_rng(0)
    for name in ('HR', 'LR', 'labels'):
        (tmp_path / name).mkdir()
    for i in range(3):
        lr = rng.integers(0, 4096, (20, 24, 4), dtype=np.uint16)
        hr = lr.repeat(4, 0).repeat(4, 1)
        labels = (hr[..., :1] // 1024).astype(np.uint8)
        for name, values in dict(HR=hr, LR=lr, labels=labels).items():
            write_raster(tmp_path / name / f'{i}.tif', values, nodata=255)
    load = 'sr4ir_mm.LoadRasterFromFile'
    return dict(
        type='BaseSegDataset',
        img_suffix='.tif',
        seg_map_suffix='.tif',
        data_prefix=dict(
            img_path=str(tmp_path / 'HR'),
            seg_map_path=str(tmp_path / 'labels'),
        ),
        metainfo=dict(classes=list('abcd')),
        pipeline=[
            dict(type=load, window=(32, 48), align=4),
            dict(
                type='sr4ir_mm.LoadLRImageFromFile',
                loader=load,
                replace={'/HR/': '/LR/'},
            ),
            dict(type='sr4ir_mm.LoadRasterAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='sr4ir_mm.PackLR', pack=dict(type='PackSegInputs')),
        ],
    )


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_windows_of_pairs_of_bands_resume_bit_identical(tmp_path, scenes):
    """What the networks see is the LR image of each window of HR."""
    bands = dict(number=4, range=4095)
    model = model_cfg(task_model=plain('seg'), bands=bands)
    seen = []

    class Watch(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            views = runner.model.make_views(data_batch)
            seen.append((views['hr'], views['lr']))

    cfg = runner_cfg(tmp_path / 'a', scenes, model=model, loop=ITER)
    expected = train(cfg, Watch()).model.state_dict()
    assert len(seen) == 8
    for hr, lr in seen:
        assert hr.shape == (2, 4, 32, 48)
        # each LR pixel is sixteen times in HR
        torch.testing.assert_close(hr[..., ::4, ::4], lr)
        assert lr.std() > 0.2
    cfg = dict(cfg, work_dir=str(tmp_path / 'b'))
    died = dict(copy.deepcopy(cfg), experiment_name=f'{tmp_path.name}b')
    with pytest.raises(Death):
        train(died, DieAt(5))
    resumed = train(
        dict(cfg, resume=True, experiment_name=f'{tmp_path.name}c')
    )
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_what_is_skipped_is_drawn():
    """onedl-mmengine 0.10.12 asks for that on resuming."""
    augmented = DataLoader(range(8), collate_fn=lambda i: (i, torch.rand(1)))
    expected = list(_SeededBatches(iter(augmented), torch.manual_seed))
    for workers in (0, 2):
        again = DataLoader(
            range(8),
            num_workers=workers,
            collate_fn=augmented.collate_fn,
            worker_init_fn=seed_worker,
        )
        first = list(_SeededBatches(iter(again), torch.manual_seed))
        batches = _SeededBatches(iter(again), torch.manual_seed)
        batches.skip_iter(5)
        assert list(batches) == first[5:]
        assert (first == expected) == (not workers)


def test_joint_phase_steps_both_networks(tmp_path, toy_dataset):
    model = model_cfg(phases=JOINT)
    recorder, counter = Recorder(), StepCounter()
    train(
        runner_cfg(tmp_path, toy_dataset, model=model, loop=ITER),
        recorder,
        counter,
    )
    assert set(recorder.logs[0]) == {
        'loss',
        'joint/loss',
        'joint/loss_pixel',
        'joint/sr.decode.loss_ce',
        'joint/sr.decode.acc_seg',
    }
    assert counter.steps == dict(
        sr_net=list(range(8)), task_model=list(range(8))
    )


def recipe(name):
    path = f'configs/_base_/recipes/{name}.py'
    cfg = Config.fromfile(path)
    return cfg.get('recipe', cfg).phases


@pytest.mark.parametrize(
    'name,trained',
    [
        ('sr4ir', [{'sr', 'task'}] * 2),
        ('h2t', [{'task'}] * 2),
        ('l2t', [{'task'}] * 2),
        ('s2t', [{'sr'}, {'task'}]),
        ('t2s', [{'task'}, {'sr'}]),
        ('joint', [{'joint'}] * 2),
    ],
)
def test_recipes_run_from_config_alone(tmp_path, toy_dataset, name, trained):
    """Which phases run in the first and in the last iteration."""
    recorder = Recorder()
    model = model_cfg(phases=recipe(name))
    train(
        runner_cfg(
            tmp_path, toy_dataset, model=model, loop=dict(ITER, max_iters=4)
        ),
        recorder,
    )
    logs = recorder.logs[0], recorder.logs[-1]
    assert [
        {k.split('/')[0] for k in log if k != 'loss'} for log in logs
    ] == trained


def test_accumulation_loses_no_gradient(tmp_path, toy_dataset):
    """3 + 3 + 2 iterations: three steps each, the last one flushed."""
    cfg = runner_cfg(tmp_path, toy_dataset, loop=ITER)
    for name in ('sr_net', 'task_model'):
        cfg['optim_wrapper'][name]['accumulative_counts'] = 3
    counter = StepCounter()
    train(cfg, counter)
    assert counter.steps == dict.fromkeys(counter.steps, [2, 5, 7])


def test_checkpoints_hold_both_networks_and_optimizers(tmp_path, toy_dataset):
    train(runner_cfg(tmp_path, toy_dataset, loop=dict(ITER, max_iters=1)))
    checkpoint = torch.load(tmp_path / 'iter_1.pth')  # safely
    prefixes = {key.split('.')[0] for key in checkpoint['state_dict']}
    assert prefixes == {'sr_net', 'task_model'}
    assert set(checkpoint['optimizer']) == {'sr_net', 'task_model'}


@pytest.mark.parametrize(
    'change,message',
    [
        (dict(model=model_cfg(phases=[])), r'model\.phases is empty'),
        (
            dict(model=model_cfg(phases=[dict(SR4IR[1], begin=0.5)])),
            'none is active from 0 of',
        ),
        (
            dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))),
            'optim_wrapper needs one optimizer per network',
        ),
        (
            dict(
                optim_wrapper=dict(
                    constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
                    sr_net=dict(optimizer=dict(type='SGD', lr=0.1)),
                )
            ),
            r'trains task_model, but optim_wrapper\.task_model is not set',
        ),
        (
            dict(model=dict(type='ToyModel')),
            'trains the phases of an SRTaskModel',
        ),
    ],
)
def test_what_cannot_train_fails_before_training(
    tmp_path, toy_dataset, change, message
):
    from mmengine.model import BaseModel
    from mmengine.registry import MODELS

    @MODELS.register_module(name='ToyModel', force=True)
    class ToyModel(BaseModel):
        def __init__(self):
            super().__init__()
            self.sr_net = self.task_model = torch.nn.Linear(1, 1)

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return dict()

    cfg = runner_cfg(
        tmp_path, toy_dataset, loop=dict(ITER, max_iters=1), **change
    )
    recorder = Recorder()
    with pytest.raises((TypeError, ValueError), match=message):
        train(cfg, recorder)
    assert not recorder.logs


def test_plain_loop_is_refused(tmp_path, toy_dataset):
    cfg = runner_cfg(
        tmp_path,
        toy_dataset,
        loop=dict(type='IterBasedTrainLoop', max_iters=1),
    )
    with pytest.raises(RuntimeError, match='AlternatingEpochTrainLoop'):
        train(cfg)
