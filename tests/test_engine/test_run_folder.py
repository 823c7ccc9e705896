"""Whose checkpoints a folder has, and who trains in it."""

import os
import signal

import pytest
import torch
from test_contract import Spy, make_cfg, set_options, train
from tiny import model_cfg, toy_dataset_cfg

from sr4ir_mm.engine import Runner, run_folder
from sr4ir_mm.engine.run_folder import alone_in, read_run


def cfg_of(folder, dataset, **kwargs):
    cfg = make_cfg(folder, dataset, **kwargs)
    cfg.default_hooks.checkpoint.interval = 2
    return cfg


@pytest.fixture
def two_runs(tmp_path, toy_dataset):
    """Run A to iteration 6; B died in the same folder before iteration 2."""
    cfg = cfg_of(tmp_path / 'w', toy_dataset)
    train(cfg, Spy(stop_at=7))
    messages = []
    train(cfg, Spy(stop_at=1), messages)
    return cfg, '\n'.join(map(str, messages))


def test_checkpoints_of_another_run(two_runs):
    cfg, messages = two_runs
    assert 'has 3 checkpoints of another run, iter_2.pth, iter_4' in messages
    cfg.resume = True
    with pytest.raises(ValueError, match='of another .*--resume .*iter_6.pth'):
        train(cfg)
    # which is asked for by name, and from then on its folder's
    cfg.load_from = f'{cfg.work_dir}/iter_6.pth'
    spy = Spy(stop_at=7)
    train(cfg, spy)
    assert len(spy.phases) == 1
    cfg.load_from = None
    spy = Spy()
    train(cfg, spy)
    assert len(spy.phases) == 2


def test_older_checkpoints_of_another_run(two_runs):
    """B's newest is damaged: A's are not taken for it."""
    cfg, _ = two_runs
    train(cfg, Spy(stop_at=5))
    with open(f'{cfg.work_dir}/iter_4.pth', 'wb'):
        pass
    cfg.resume = True
    spy = Spy(stop_at=3)
    runner = train(cfg, spy)
    assert len(spy.phases) == 1 and runner.iter == 3


def test_another_runs_model_is_no_matter(tmp_path, toy_dataset):
    cfg = cfg_of(tmp_path, toy_dataset)
    train(cfg, Spy(stop_at=7))
    cfg.model = model_cfg(phases=cfg.model.phases)
    cfg.model.sr_net.mid_channels = 5
    train(cfg, Spy(stop_at=1))
    cfg.resume = True
    with pytest.raises(ValueError, match='of another .*iter_6.pth'):
        train(cfg)


def test_a_run_from_before_there_were_ids(two_runs):
    """Its checkpoints are not those of a run that has begun since."""
    cfg, _ = two_runs
    for name in ('iter_2', 'iter_4', 'iter_6'):
        path = f'{cfg.work_dir}/{name}.pth'
        checkpoint = torch.load(path)
        del checkpoint['meta']['run']
        torch.save(checkpoint, path)
    cfg.resume = True
    with pytest.raises(ValueError, match='of another .*iter_6.pth'):
        train(cfg)
    os.remove(f'{cfg.work_dir}/run.json')
    train(cfg, Spy(stop_at=6))  # before its first checkpoint
    spy, messages = Spy(), []
    train(cfg, spy, messages)
    assert len(spy.phases) == 2
    assert 'does not know its run' in messages[0]
    assert 'of another run' not in str(messages)


def test_an_id_goes_with_the_run(tmp_path, toy_dataset):
    cfg = cfg_of(tmp_path / 'w', toy_dataset)
    train(cfg, Spy(stop_at=3))
    run = read_run(cfg.work_dir)
    os.rename(tmp_path / 'w', tmp_path / 'moved')
    cfg = set_options(cfg, dict(resume=True), tmp_path / 'moved')
    train(cfg)
    assert read_run(cfg.work_dir) == run
    meta = torch.load(f'{cfg.work_dir}/iter_8.pth')['meta']
    assert meta['run'] == dict(id=run['id'], images=8, batches=4, world_size=1)
    # and another training has another
    cfg = set_options(cfg, dict(resume=False), tmp_path / 'new')
    train(cfg, Spy(stop_at=1))
    assert read_run(cfg.work_dir)['id'] != run['id']


def test_without_a_seed_resuming_is_exact(tmp_path, toy_dataset):
    """It was not: samplers were made before the checkpoint was read."""
    cfg = cfg_of(tmp_path / 'w', toy_dataset)
    cfg.randomness = dict(seed=None)
    train(cfg)
    whole = torch.load(f'{cfg.work_dir}/iter_8.pth')
    for name in ('iter_6', 'iter_8'):
        os.remove(f'{cfg.work_dir}/{name}.pth')
    (tmp_path / 'w' / 'last_checkpoint').unlink()
    cfg.resume = True
    train(cfg)
    again = torch.load(f'{cfg.work_dir}/iter_8.pth')
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, again['state_dict'][key]), key


# ------------------------------------------------------------------- lock


def fork(run):
    """A process that runs a function, and then waits to be killed."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        with os.fdopen(read) as file:
            return pid, file.readline()
    try:
        os.write(write, f'{run()}\n'.encode())
        os.close(write)
        while True:
            signal.pause()
    finally:
        os._exit(1)


@pytest.fixture
def holder(tmp_path):
    """A process that trains in ``tmp_path``, with a worker of it."""

    lock = alone_in(str(tmp_path))

    def hold():
        lock.__enter__()
        return fork(lambda: 'ready')[0]

    pid, worker = fork(hold)
    yield pid
    os.kill(int(worker), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_one_training_at_a_time(tmp_path, toy_dataset, holder):
    cfg = cfg_of(tmp_path, toy_dataset)
    with pytest.raises(RuntimeError, match=f'in use by process {holder} '):
        train(cfg)
    assert not list(tmp_path.glob('*.pth')) and read_run(tmp_path) is None
    # the dead have no lock, though their workers may live on
    os.kill(holder, signal.SIGKILL)
    os.waitid(os.P_PID, holder, os.WEXITED | os.WNOWAIT)
    train(cfg, Spy(stop_at=1))


def test_a_test_needs_no_lock(tmp_path, toy_root, holder):
    cfg = cfg_of(tmp_path, toy_dataset_cfg('seg', toy_root, augment=False))
    cfg.val_dataloader = dict(cfg.train_dataloader)
    cfg.val_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    cfg.val_cfg = dict()
    cfg.val_evaluator = dict(type='IoUMetric')
    Runner.from_cfg(cfg).val()


def test_a_failed_training_leaves_no_lock(tmp_path, toy_dataset):
    cfg = cfg_of(tmp_path, toy_dataset)
    train(cfg, Spy(stop_at=1))
    lock = alone_in(str(tmp_path))
    pid, answer = fork(lambda: lock.__enter__())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert answer == 'None\n'


def test_where_there_are_no_locks(tmp_path, monkeypatch):
    """Training goes on, with a word."""
    fcntl = pytest.importorskip('fcntl')

    def lockf(*_):
        raise OSError(37, 'No locks available')

    messages = []
    logger = run_folder.MMLogger.get_current_instance()
    monkeypatch.setattr(fcntl, 'lockf', lockf)
    monkeypatch.setattr(logger, 'warning', messages.append)
    with alone_in(str(tmp_path)):
        pass
    assert 'cannot be locked here' in messages[0]
