"""Checkpoints and resuming, when something goes wrong."""

import errno
import math
import os
import shutil
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny import TASKS, build_model, model_cfg, runner_cfg, toy_dataset_cfg

from sr4ir_mm.apis import init_model
from sr4ir_mm.engine import Runner
from sr4ir_mm.engine.contract import NothingLeftError
from sr4ir_mm.engine.run_folder import find_checkpoints, read_run

EPOCHS = dict(type='sr4ir_mm.AlternatingEpochTrainLoop', max_epochs=3)


def config(work_dir, dataset, **kwargs):
    kwargs.setdefault('loop', EPOCHS)
    return Config(runner_cfg(work_dir, dict(dataset, indices=4), **kwargs))


def train(*args, hooks=(), **kwargs):
    runner = Runner.from_cfg(config(*args, **kwargs))
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def weights(path):
    return torch.load(path)['state_dict']


def equal(one, other):
    one, other = weights(one), weights(other)
    return set(one) == set(other) and all(
        torch.equal(one[key], other[key]) for key in one
    )


@pytest.fixture(scope='module')
def trained(tmp_path_factory, toy_root):
    """The folder of an undisturbed training of three epochs."""
    folder = tmp_path_factory.mktemp('trained')
    train(folder, toy_dataset_cfg('seg', toy_root))
    return folder


@pytest.fixture
def interrupted(trained, tmp_path):
    """A copy of it, at another place, as of the end of its second epoch."""
    folder = tmp_path / 'moved'
    shutil.copytree(trained, folder)
    (folder / 'epoch_3.pth').unlink()
    (folder / 'last_checkpoint').write_text(str(trained / 'epoch_2.pth'))
    return folder


def test_last_checkpoint_of_a_moved_folder(interrupted, trained):
    assert find_checkpoints(str(interrupted)) == [
        str(interrupted / 'epoch_2.pth'),
        str(trained / 'epoch_2.pth'),
        # the other folder's, where the file points to
        str(trained / 'epoch_3.pth'),
        str(trained / 'epoch_1.pth'),
        str(interrupted / 'epoch_1.pth'),
    ]


@pytest.mark.parametrize('harm', ['cut', 'empty', 'no last_checkpoint'])
def test_resumes_from_what_is_whole(
    interrupted, trained, toy_dataset, harm, caplog
):
    newest = interrupted / 'epoch_2.pth'
    last = interrupted / 'last_checkpoint'
    last.unlink()
    if harm == 'cut':
        newest.write_bytes(newest.read_bytes()[:-5000])
    elif harm == 'empty':
        newest.write_bytes(b'')
        last.write_text('')
    (interrupted / 'epoch_2.pth.part').write_bytes(b'rest of a dead process')
    resumed = []

    class Spy(Hook):
        def before_train(self, runner):
            resumed.append(runner.epoch)

    train(interrupted, toy_dataset, resume=True, hooks=[Spy()])
    assert resumed == [2 if harm == 'no last_checkpoint' else 1]
    assert equal(interrupted / 'epoch_3.pth', trained / 'epoch_3.pth')
    assert not list(interrupted.glob('*.part'))


def test_disk_full(tmp_path, toy_dataset, monkeypatch):
    """What is written in part does not stay."""
    from mmengine.fileio import LocalBackend

    def put(self, content, path):
        if 'epoch_2' in path:
            with open(path, 'wb') as file:
                file.write(content[:1000])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return whole(self, content, path)

    whole = LocalBackend.put
    monkeypatch.setattr(LocalBackend, 'put', put)
    with pytest.raises(OSError, match='epoch_2.pth .*No space left.*--resume'):
        train(tmp_path, toy_dataset)
    files = sorted(p.name for p in tmp_path.glob('*.pth*'))
    assert files == ['epoch_1.pth']
    assert find_checkpoints(str(tmp_path)) == [str(tmp_path / 'epoch_1.pth')]


def test_outdated_checkpoints_go_last(tmp_path, toy_dataset, monkeypatch):
    """With a single one to keep, there always is one."""
    seen = []
    replace = os.replace

    def spy(source, target):
        if str(source).endswith('.part'):
            seen.append(sorted(p.name for p in tmp_path.glob('*.pth')))
        replace(source, target)

    monkeypatch.setattr(os, 'replace', spy)
    cfg = config(tmp_path, toy_dataset)
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    Runner.from_cfg(cfg).train()
    assert seen == [[], ['epoch_1.pth'], ['epoch_2.pth']]
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_3.pth']


def test_spoilt_weights_are_not_saved(tmp_path, toy_dataset):
    class Spoil(Hook):
        priority = 'VERY_HIGH'

        def after_train_epoch(self, runner):
            if runner.epoch == 1:
                next(runner.model.sr_net.parameters()).data[0] = torch.nan

    with pytest.raises(FloatingPointError, match='sr_net.*epoch_2.pth'):
        train(tmp_path, toy_dataset, hooks=[Spoil()])
    assert [p.name for p in tmp_path.glob('*.pth*')] == ['epoch_1.pth']


def test_resume_into_the_folder_of_another_run(
    interrupted, trained, toy_dataset, tmp_path
):
    """Its checkpoints will be overwritten; of its own, nothing is said."""
    shutil.copytree(trained, tmp_path / 'other')
    (tmp_path / 'other' / 'run.json').write_text('{"id": "b", "seed": 0}')
    options = dict(load_from=str(interrupted / 'epoch_2.pth'), resume=True)
    for is_anothers in (True, False):
        cfg = config(tmp_path / 'other', toy_dataset, **options)
        runner = Runner.from_cfg(cfg)
        messages = []
        runner.logger.warning = messages.append
        runner.train()
        text = 'has 3 checkpoints of another run, epoch_1.pth'
        assert (text in str(messages)) == is_anothers


@pytest.mark.parametrize('is_over', [True, False])
def test_train_then_test(trained, tmp_path, toy_root, is_over):
    """With `resume`, of a training that is over or has not begun; to test is
    not to resume again."""
    dataset = toy_dataset_cfg('seg', toy_root)
    loader = dict(
        batch_size=2, dataset=toy_dataset_cfg('seg', toy_root, augment=False)
    )
    if is_over:
        shutil.copytree(trained, tmp_path / 'w')
    cfg = config(
        tmp_path / 'w',
        dataset,
        resume=True,
        loop=dict(EPOCHS, max_epochs=3 if is_over else 1),
        test_dataloader=loader,
        test_cfg=dict(),
        test_evaluator=dict(type='IoUMetric'),
    )
    runner = Runner.from_cfg(cfg)
    if is_over:
        with pytest.raises(NothingLeftError, match='max_epochs=3: nothing is'):
            runner.train()
    else:
        runner.train()
    assert 'mIoU' in runner.test()
    run = read_run(str(tmp_path / 'w'))
    path = tmp_path / 'w' / f'epoch_{cfg.train_cfg.max_epochs}.pth'
    assert run['id'] == torch.load(path)['meta']['run']['id']
    assert all(
        torch.equal(value, runner.model.state_dict()[key])
        for key, value in weights(path).items()
    )


def test_resume_a_folder(interrupted, toy_dataset):
    with pytest.raises(ValueError, match='this is a folder.*--work-dir'):
        train(
            interrupted,
            toy_dataset,
            load_from=str(interrupted),
            resume=True,
        )


# ------------------------------------------------- checkpoints of others


def other_model(task='seg', **kwargs):
    return build_model(task, **kwargs).state_dict()


def other_classes():
    task_model = dict(TASKS['seg']['model'])
    task_model['decode_head'] = dict(task_model['decode_head'], num_classes=7)
    return other_model(task_model=task_model)


OTHERS = dict(
    architecture=(lambda: other_model('cls'), r'\d+ missing: task_model'),
    classes=(other_classes, 'of another shape: .*conv_seg.*7.* for .*5'),
    scale=(
        lambda: other_model(
            sr_net=dict(model_cfg().sr_net, upscale_factor=2), scale=2
        ),
        'missing: sr_net',
    ),
    plain=(
        lambda: {'backbone.conv1.weight': torch.ones(1)},
        'init_cfg',
    ),
)


@pytest.mark.parametrize('kind', OTHERS)
def test_checkpoint_of_another_model(tmp_path, toy_dataset, kind):
    make, message = OTHERS[kind]
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=make()), path)
    with pytest.raises(ValueError, match=f'other.pth is of .*{message}'):
        train(tmp_path, toy_dataset, load_from=str(path))
    if kind == 'classes':  # asked for: as in mmengine
        loop = dict(EPOCHS, max_epochs=1)
        options = dict(load_from=str(path), load_strict=False, loop=loop)
        train(tmp_path, toy_dataset, **options)


def test_checkpoint_that_is_infinite(tmp_path, toy_dataset):
    weights = other_model()
    weights['sr_net.conv_first.bias'][0] = math.inf
    path = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(ValueError, match='a.pth is refused: 1 .*conv_first'):
        train(tmp_path, toy_dataset, load_from=path)


def test_checkpoint_of_another_scale(trained, tmp_path, toy_dataset):
    """Whose weights fit: it is told by what the checkpoint says."""
    checkpoint = torch.load(trained / 'epoch_3.pth')
    assert checkpoint['meta']['scale'] == 4
    checkpoint['meta']['scale'] = 8
    path = str(tmp_path / 'epoch_3.pth')
    torch.save(checkpoint, path)
    message = 'epoch_3.pth.* was trained for scale 8, but model.scale=4'
    with pytest.raises(ValueError, match=message):
        train(tmp_path / 'again', toy_dataset, load_from=path, resume=True)
    with pytest.raises(ValueError, match=message):
        init_model(path)
    # to start from it is fine
    loop = dict(EPOCHS, max_epochs=1)
    train(tmp_path / 'new', toy_dataset, load_from=path, loop=loop)


def test_whole_networks_may_be_absent(tmp_path, toy_dataset):
    """In training, from T of H -> T; in testing, only with --sr-net."""
    path = str(tmp_path / 'task.pth')
    state_dict = {
        key: torch.zeros_like(value)
        for key, value in other_model().items()
        if key.startswith('task_model.')
    }
    torch.save(dict(state_dict=state_dict), path)
    cfg = config(tmp_path, toy_dataset, load_from=path)
    runner = Runner.from_cfg(cfg)
    before = {k: v.clone() for k, v in runner.model.sr_net.named_parameters()}
    with pytest.raises(ValueError, match='missing: sr_net'):
        runner.load_checkpoint(path)
    runner.load_checkpoint(path, absent=['sr_net'])
    after = dict(runner.model.sr_net.named_parameters())
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(p.any() for p in runner.model.task_model.parameters())
    # what this model has not is left out
    torch.save(dict(state_dict=other_model()), path)
    alone = config(
        tmp_path,
        toy_dataset,
        model=model_cfg(sr_net=None, view='hr', phases=[]),
    )
    del alone.optim_wrapper['sr_net']
    Runner.from_cfg(alone).load_checkpoint(path)


def test_names_of_optimizers_and_schedules(tmp_path, toy_dataset):
    cfg = config(tmp_path, toy_dataset)
    cfg.optim_wrapper.sr_nett = cfg.optim_wrapper.pop('sr_net')
    with pytest.raises(ValueError, match='optim_wrapper.sr_nett.*sr_net?'):
        Runner.from_cfg(cfg)
    cfg = config(tmp_path, toy_dataset, param_scheduler=dict(task_model=[]))
    with pytest.raises(ValueError, match='param_scheduler has no sr_net'):
        Runner.from_cfg(cfg)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'constructor': None}, 'one optimizer per network: .*task_model='),
        ({'type': 'OptimWrapper', 'constructor': None}, 'one optimizer per'),
        ({'sr_net': dict(type='OptimWrapper')}, 'sr_net.optimizer=None'),
        ({'sr_net.optimizer': 'SGD'}, "sr_net.optimizer='SGD': expected"),
        ({'sr_net.optimizer.type': 'SDG'}, 'SDG is not in'),
    ],
)
def test_optimizers_that_are_none(tmp_path, toy_dataset, options, message):
    cfg = config(tmp_path, toy_dataset)
    for key, value in options.items():
        *path, last = key.split('.')
        reduce(getitem, path, cfg.optim_wrapper)[last] = value
    with pytest.raises((ValueError, KeyError), match=message):
        Runner.from_cfg(cfg)


def test_resume_runs_no_config_of_the_checkpoint(interrupted, toy_dataset):
    """mmengine executes what is in `meta.config`."""
    path = interrupted / 'epoch_2.pth'
    checkpoint = torch.load(path)
    marker = interrupted / 'marker'
    checkpoint['meta']['config'] = f"open({str(marker)!r}, 'w')\nx = 1"
    torch.save(checkpoint, path)
    train(interrupted, toy_dataset, resume=True)
    assert not marker.exists()


def test_fewer_classes_than_the_data_have(tmp_path, toy_dataset):
    task_model = dict(TASKS['seg']['model'])
    task_model['decode_head'] = dict(task_model['decode_head'], num_classes=3)
    model = model_cfg(task_model=task_model)
    with pytest.raises(ValueError, match='num_classes=3, .*5 classes'):
        train(tmp_path, toy_dataset, model=model)


@pytest.mark.parametrize('name', [{}, dict(name='visualizer')])
def test_runners_of_one_second_share_nothing(tmp_path, toy_dataset, name):
    """mmengine knows them by their second, visualizers by their name, which
    is the same in the toolboxes' configs."""
    runners = []
    for folder in 'abc':
        cfg = config(tmp_path / folder, toy_dataset)
        cfg.visualizer = dict(
            type='Visualizer',
            vis_backends=[dict(type='LocalVisBackend')],
            **name,
        )
        runners.append(Runner.from_cfg(cfg))
    assert len({runner.timestamp for runner in runners}) == 3
    for runner in runners:
        runner.visualizer.add_scalar('a', 1)
        assert list(Path(runner.work_dir).glob('*/vis_data/scalars.json'))
    assert len({id(runner.message_hub) for runner in runners}) == 3
