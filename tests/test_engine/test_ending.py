"""Training ends, planned or not, and leaves what it should."""

import multiprocessing
import os
import signal
import subprocess

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, METRICS
from tiny import runner_cfg, toy_dataset_cfg
from torch.nn import BatchNorm2d, Sequential

from sr4ir_mm.engine import PreciseBNHook, Runner, ending, hooks
from sr4ir_mm.engine.ending import INTERRUPTED, Interruption
from sr4ir_mm.engine.preflight import build_loader

ITER = 'sr4ir_mm.AlternatingIterTrainLoop'
EPOCH = 'sr4ir_mm.AlternatingEpochTrainLoop'


@METRICS.register_module()
class Given(BaseMetric):
    """A validation's results, one after the other."""

    def __init__(self, results):
        super().__init__()
        self.given = list(results)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return self.given.pop(0)


def terminate_workers():
    """As another process does it."""
    workers = [str(w.pid) for w in multiprocessing.active_children()]
    if workers:
        subprocess.run(['kill', *workers], check=True)
    return len(workers)


@HOOKS.register_module()
class Signal(Hook):
    """Sends the process SIGTERM in an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, **kwargs):
        if runner.iter == self.iteration:
            terminate_workers()
            os.kill(os.getpid(), signal.SIGTERM)


@HOOKS.register_module()
class End(Hook):
    """Changes the model when training ends."""

    progress = None

    def at_end(self, runner, progress):
        assert self.progress is None, 'once'
        self.progress = progress
        runner.model.sr_net.conv_first.bias.data.fill_(7)


def config(work_dir, root, loop, results=(), task='seg', **kwargs):
    cfg = Config(
        runner_cfg(
            work_dir, toy_dataset_cfg(task, root), task, loop=loop, **kwargs
        )
    )
    if results:
        dataset = toy_dataset_cfg(task, root, 'val', augment=False)
        cfg.val_dataloader = dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset,
        )
        cfg.val_cfg = dict()
        cfg.val_evaluator = dict(type='mmengine.Given', results=results)
    return cfg


def bias(path):
    return torch.load(path)['state_dict']['sr_net.conv_first.bias']


STOP = dict(
    type='EarlyStoppingHook',
    monitor='a',
    rule='greater',
    patience=1,
    min_delta=1,
)


@pytest.mark.parametrize('kind', ['epochs', 'iterations'])
def test_early_stopping(tmp_path, toy_root, kind):
    """Hooks act, a validation sees it, and the last checkpoint has it."""
    results = [dict(a=x) for x in (5, 1, 9)]
    loop = dict(type=EPOCH, max_epochs=9)
    if kind == 'iterations':
        loop = dict(type=ITER, max_iters=90, val_interval=2)
    cfg = config(tmp_path, toy_root, loop, results)
    cfg.custom_hooks = [STOP, dict(type='mmengine.End')]
    cfg.default_hooks.checkpoint.update(
        interval=50, save_best='a', rule='greater'
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    name, done = ('epoch_2', 8) if kind == 'epochs' else ('iter_4', 4)
    assert runner.iter == done
    (hook,) = [h for h in runner.hooks if isinstance(h, End)]
    assert hook.progress == (done - 1) / (36 if kind == 'epochs' else 90)
    assert (bias(tmp_path / f'{name}.pth') == 7).all()
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last.endswith(f'{name}.pth')
    (best,) = tmp_path.glob('best_a*.pth')
    assert (bias(best) == 7).all()


def test_a_step_that_is_the_best_twice(tmp_path, toy_root):
    """Before and after hooks have acted."""
    loop = dict(type=ITER, max_iters=90, val_interval=2)
    cfg = config(tmp_path, toy_root, loop, [dict(a=x) for x in (5, 7, 9)])
    cfg.custom_hooks = [
        dict(STOP, stopping_threshold=6),
        dict(type='mmengine.End'),
    ]
    cfg.default_hooks.checkpoint.update(save_best='a', rule='greater')
    Runner.from_cfg(cfg).train()
    (best,) = tmp_path.glob('best_a*.pth')
    assert best.stem.endswith('iter_4') and (bias(best) == 7).all()


def test_early_stopping_keeps_the_last_state(tmp_path, toy_root):
    """Also where no hook acts, and no checkpoint was due."""
    loop = dict(type=ITER, max_iters=90, val_interval=2)
    cfg = config(tmp_path, toy_root, loop, [dict(a=1)] * 3)
    cfg.custom_hooks = [STOP]
    cfg.default_hooks.checkpoint.interval = 50
    Runner.from_cfg(cfg).train()
    assert (tmp_path / 'iter_4.pth').exists()


@pytest.mark.parametrize('task', ['seg', 'det'])
@pytest.mark.parametrize('stops', [True, False])
def test_precise_statistics(tmp_path, toy_root, task, stops, monkeypatch):
    """Whenever training ends, also with a batch sampler, whose batches they
    are of: in others, wide and tall images would be padded."""
    states, samplers = [], []

    def build(*args, **kwargs):
        loader = build_loader(*args, **kwargs)
        samplers.append(type(loader.batch_sampler).__name__)
        return loader

    monkeypatch.setattr(hooks, 'build_loader', build)

    def at_end(self, runner, progress):
        for _ in range(2):  # before and after
            network = runner.model.task_model
            states.append(
                {k: v.clone() for k, v in network.state_dict().items()}
            )
            if len(states) == 1:
                act(self, runner, progress)

    act = PreciseBNHook.at_end
    monkeypatch.setattr(PreciseBNHook, 'at_end', at_end)
    loop = dict(type=EPOCH, max_epochs=5 if stops else 2)
    cfg = config(tmp_path, toy_root, loop, [dict(a=1)] * 3, task)
    if task == 'det':
        cfg.train_dataloader.batch_sampler = dict(
            type='AspectRatioBatchSampler', drop_last=True
        )
    cfg.custom_hooks = [dict(type='sr4ir_mm.PreciseBNHook', num_samples=8)]
    cfg.custom_hooks += [STOP] * stops
    Runner.from_cfg(cfg).train()
    kind = 'AspectRatioBatchSampler' if task == 'det' else 'BatchSampler'
    assert samplers == [kind]
    before, after = states
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved and all('running' in k or 'tracked' in k for k in moved)
    saved = torch.load(tmp_path / 'epoch_2.pth')['state_dict']
    for key in moved:
        assert torch.equal(saved[f'task_model.{key}'], after[key])


@pytest.mark.parametrize('update_buffers', [False, True])
def test_precise_statistics_of_averaged_weights(
    tmp_path, toy_root, update_buffers
):
    """Which a checkpoint has in place of the others, buffers included."""
    loop = dict(type=ITER, max_iters=90, val_interval=2)
    cfg = config(tmp_path, toy_root, loop, [dict(a=1)] * 3)
    cfg.train_dataloader.dataset = toy_dataset_cfg(
        'seg', toy_root, augment=False
    )
    cfg.custom_hooks = [
        dict(type='EMAHook', momentum=0.1, update_buffers=update_buffers),
        dict(type='sr4ir_mm.PreciseBNHook', num_samples=8),
        STOP,
    ]
    runner = Runner.from_cfg(cfg)
    runner.train()
    saved = torch.load(tmp_path / 'iter_4.pth')['state_dict']
    for name, buffer in runner.model.named_buffers():
        if name in saved:
            assert torch.equal(saved[name], buffer), name
    # and they are those of the averaged weights
    runner.model.load_state_dict(saved)
    runner._hooks = []
    PreciseBNHook(8).at_end(runner, progress=0)
    found = runner.model.state_dict()
    for name, value in saved.items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_statistics_that_training_does_not_make(tmp_path, toy_root):
    """Of the SR network, of a layer that prediction has not, and of one that
    has none; a batch is seen, however few images are asked for."""
    cfg = config(tmp_path, toy_root, dict(type=ITER, max_iters=1))
    runner = Runner.from_cfg(cfg)
    runner.train()
    model = runner.model
    first = model.sr_net.conv_first
    model.sr_net.conv_first = Sequential(BatchNorm2d(3), first)
    model.task_model.unused = BatchNorm2d(3)
    model.task_model.unused.running_mean.fill_(5)
    model.task_model.none = BatchNorm2d(3, track_running_stats=False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    PreciseBNHook(num_samples=1).at_end(runner, progress=0)
    after = model.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved and all(
        key.startswith(('task_model.backbone', 'task_model.decode'))
        for key in moved
    )
    for name, buffer in model.task_model.backbone.named_buffers():
        if name.endswith('running_var'):
            assert buffer.any()


@pytest.mark.parametrize('counts, last', [((2, 2), 4), ((2, 3), 5)])
def test_sigterm_while_gradients_accumulate(tmp_path, toy_root, counts, last):
    """It goes on until they have been used, and not much longer."""

    def train(name, **kwargs):
        loop = dict(type=ITER, max_iters=8)
        cfg = config(tmp_path / name, toy_root, loop, **kwargs)
        for network, number in zip(('sr_net', 'task_model'), counts):
            cfg.optim_wrapper[network].accumulative_counts = number
        cfg.default_hooks.checkpoint.interval = 50
        Runner.from_cfg(cfg).train()
        return torch.load(tmp_path / name / 'iter_8.pth')['state_dict']

    hook = dict(type='mmengine.Signal', iteration=2)
    with pytest.raises(SystemExit):
        train('ended', custom_hooks=[hook])
    assert names_in(tmp_path / 'ended') == {f'iter_{last}'}
    if last == 4:
        found, expected = train('ended', resume=True), train('whole')
        for key, value in expected.items():
            assert torch.equal(value, found[key]), key


@pytest.mark.parametrize('custom', [[], [dict(type='mmengine.End')]])
def test_sigterm(tmp_path, toy_root, custom):
    """The run goes on exactly; what hooks make is beside it."""
    loop = dict(type=ITER, max_iters=6)
    whole = tmp_path / 'whole'
    Runner.from_cfg(config(whole, toy_root, loop)).train()
    ended = tmp_path / 'ended'
    cfg = config(ended, toy_root, loop)
    cfg.default_hooks.checkpoint.interval = 50
    cfg.custom_hooks = [*custom, dict(type='mmengine.Signal', iteration=2)]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as error:
        Runner.from_cfg(cfg).train()
    assert error.value.code == INTERRUPTED == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert (ended / 'last_checkpoint').read_text().endswith('iter_3.pth')
    final = ended / 'final.pth'
    assert final.exists() == bool(custom)
    if custom:
        assert (bias(final) == 7).all()
        assert not (bias(ended / 'iter_3.pth') == 7).any()
    cfg = config(ended, toy_root, loop, resume=True)
    Runner.from_cfg(cfg).train()
    expected = torch.load(whole / 'iter_6.pth')
    found = torch.load(ended / 'iter_6.pth')
    for key, value in expected['state_dict'].items():
        assert torch.equal(value, found['state_dict'][key])


def test_sigterm_within_an_epoch(tmp_path, toy_root):
    loop = dict(type=EPOCH, max_epochs=3)
    cfg = config(tmp_path, toy_root, loop)
    cfg.custom_hooks = [dict(type='mmengine.Signal', iteration=5)]
    with pytest.raises(SystemExit):
        Runner.from_cfg(cfg).train()
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    assert torch.load(tmp_path / 'final.pth')['meta']['iter'] == 6


def end_workers(runner):
    """Of the data loader, below what seeds it."""
    runner.train_loop.dataloader_iterator._batches._iterator._shutdown_workers()


def test_sigterm_of_a_worker_alone(tmp_path, toy_root):
    """Training goes on."""

    class OfWorkers(Hook):
        def before_train_iter(self, runner, **kwargs):
            if runner.iter == 2:
                assert terminate_workers() == 1

    cfg = config(tmp_path, toy_root, dict(type=ITER, max_iters=6))
    cfg.train_dataloader.update(num_workers=1, persistent_workers=True)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(OfWorkers())
    runner.train()
    assert runner.iter == 6
    end_workers(runner)


def test_sigterm_of_all_processes(tmp_path, toy_root):
    """As slurm sends it. Workers that are gone ended the training anywhere,
    while its checkpoint was made, say."""
    loop = dict(type=ITER, max_iters=40)
    cfg = config(tmp_path, toy_root, loop)
    cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
    cfg.custom_hooks = [dict(type='mmengine.Signal', iteration=2)]
    runner = Runner.from_cfg(cfg)
    with pytest.raises(SystemExit):
        runner.train()
    assert (tmp_path / 'iter_3.pth').exists()
    end_workers(runner)  # which garbage collection waits for


def test_a_signal_that_is_handed_on_is_the_same(monkeypatch):
    with Interruption() as interruption:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.stops_after(1)


def test_a_second_sigterm_ends_at_once(monkeypatch):
    monkeypatch.setattr(ending, '_SAME', 0)

    class EndedError(Exception):
        pass

    def end(*_):
        raise EndedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(EndedError):
            with Interruption() as interruption:
                os.kill(os.getpid(), signal.SIGTERM)
                assert interruption.stops_after(1)
                os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


# ----------------------------------------------------- the best checkpoint


@pytest.mark.parametrize(
    'save_best, results, best',
    [
        ('coco/bbox_mAP', [{'sr/PSNR': 9}, {'coco/bbox_mAP': 0.2}], '2'),
        ('auto', [{'sr/PSNR': 9}, {'sr/PSNR': 9, 'coco/bbox_mAP': 1}], '2'),
        ('auto', [{'sr/PSNR': 9, 'mIoU': 3}, {'sr/PSNR': 10}], '1'),
        ('sr/LPIPS', [{'sr/LPIPS': 0.2}, {'sr/LPIPS': 0.3}], '1'),
        ('sr/PSNR', [{'sr/PSNR': 20}, {'sr/PSNR': 30}], '2'),
        ('auto', [{'f1-score': 2}, {'f1-score': 1, 'mAcc': 1}], '2'),
    ],
)
def test_the_best_checkpoint(tmp_path, toy_root, save_best, results, best):
    loop = dict(type=EPOCH, max_epochs=2)
    cfg = config(tmp_path, toy_root, loop, results)
    cfg.default_hooks.checkpoint.save_best = save_best
    Runner.from_cfg(cfg).train()
    (path,) = tmp_path.glob('best_*.pth')
    assert path.stem.endswith(f'epoch_{best}')


def test_rates_after_a_validation_without_their_metric(tmp_path, toy_root):
    """It counts as one that is no better: twice in a row, here."""
    loop = dict(type=EPOCH, max_epochs=5)  # the last one changes no rate
    none, some = {'sr/PSNR': 1}, {'mIoU': 2}
    results = [none, some, none, none, some]
    cfg = config(tmp_path, toy_root, loop, results)
    plateau = dict(
        type='ReduceOnPlateauLR',
        monitor='mIoU',
        rule='greater',
        patience=1,
        factor=0.5,
    )
    cfg.param_scheduler = dict(sr_net=[plateau], task_model=[])
    runner = Runner.from_cfg(cfg)
    runner.train()
    rates = runner.optim_wrapper.get_lr()
    assert rates['sr_net.lr'] == [0.5e-3]
    assert rates['task_model.lr'] == [1e-2]


def test_what_was_due_for_deletion_goes(tmp_path, toy_root):
    """And not what is of another run."""
    loop = dict(type=ITER, max_iters=4)
    cfg = config(tmp_path, toy_root, loop)
    cfg.default_hooks.checkpoint.max_keep_ckpts = 2
    runner = Runner.from_cfg(cfg)
    runner.train()
    kept = tmp_path / 'iter_3.pth'
    assert kept.exists() and not (tmp_path / 'iter_2.pth').exists()
    own = torch.load(kept)
    torch.save(own, tmp_path / 'iter_2.pth')  # as if the process had died
    own['meta']['run']['id'] = 'another'
    torch.save(own, tmp_path / 'iter_1.pth')
    cfg = config(tmp_path, toy_root, dict(loop, max_iters=6), resume=True)
    cfg.default_hooks.checkpoint.max_keep_ckpts = 2
    Runner.from_cfg(cfg).train()
    names = {path.name for path in tmp_path.glob('*.pth')}
    assert names == {'iter_1.pth', 'iter_5.pth', 'iter_6.pth'}


def keeping(work_dir, root, number, max_iters, **kwargs):
    cfg = config(work_dir, root, dict(type=ITER, max_iters=max_iters))
    cfg.merge_from_dict(kwargs)
    cfg.default_hooks.checkpoint.max_keep_ckpts = number
    return Runner.from_cfg(cfg)


def names_in(folder):
    return {path.stem for path in folder.glob('*.pth')}


def test_what_was_never_due_stays(tmp_path, toy_root):
    """Of a time in which all were kept, also what cannot be read."""
    keeping(tmp_path, toy_root, -1, 2).train()
    (tmp_path / 'iter_0.pth').write_bytes(b'cut off')
    for max_iters in (5, 7):
        keeping(tmp_path, toy_root, 2, max_iters, resume=True).train()
    assert names_in(tmp_path) == {
        *('iter_0', 'iter_1', 'iter_2'),
        *('iter_6', 'iter_7'),
    }


def test_a_run_from_elsewhere_deletes_nothing_here(tmp_path, toy_root):
    """Though what is due there has the name of another run's here."""
    there, here = tmp_path / 'there', tmp_path / 'here'
    keeping(there, toy_root, 2, 4).train()
    keeping(here, toy_root, -1, 3).train()
    keeping(
        here, toy_root, 2, 7, resume=True, load_from=str(there / 'iter_4.pth')
    ).train()
    assert names_in(here) == {
        *('iter_1', 'iter_2', 'iter_3'),
        *('iter_6', 'iter_7'),
    }
    assert names_in(there) == {'iter_3', 'iter_4'}


def test_two_checkpoint_hooks_delete_their_own(tmp_path, toy_root):
    """Though mmengine keeps the numbers of both in one place."""

    def train(max_epochs, **kwargs):
        loop = dict(type=EPOCH, max_epochs=max_epochs)
        cfg = config(tmp_path, toy_root, loop, **kwargs)
        cfg.custom_hooks = [
            dict(
                type='sr4ir_mm.CheckpointHook',
                by_epoch=False,
                interval=2,
                max_keep_ckpts=1,
            )
        ]
        cfg.default_hooks.checkpoint.max_keep_ckpts = 2
        Runner.from_cfg(cfg).train()

    train(2)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_8.pth'))
    train(3, resume=True)
    assert {'epoch_1', 'epoch_2', 'epoch_3'} <= names_in(tmp_path)
