"""What --resume makes of settings that have changed."""

import copy
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny import JOINT, SR4IR, model_cfg, runner_cfg, toy_dataset_cfg

from sr4ir_mm.engine import Runner
from sr4ir_mm.engine.contract import (
    HONOURED,
    IGNORED,
    REFUSED,
    WARNED,
    Change,
)
from sr4ir_mm.engine.loops import _AlternatingLoop

ITER = dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=8)
EPOCH = dict(type='sr4ir_mm.AlternatingEpochTrainLoop', max_epochs=4)
COSINE = dict(type='CosineAnnealingLR', T_max=8, end=8, by_epoch=False)


class Interrupted(Exception):
    pass


class Spy(Hook):
    """Notes down rates and phases, and ends a training early."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.rates, self.phases = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop_at:
            raise Interrupted
        self.rates.append(
            [
                group['lr']
                for wrapper in runner.optim_wrapper.values()
                for group in wrapper.param_groups
            ]
        )

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.phases.append({key.split('/')[0] for key in outputs} - {'loss'})


def train(cfg, spy=None, messages=None):
    """Whole, or until the spy interrupts it."""
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    if messages is not None:
        runner.logger.warning = messages.append
    runner.register_hook(spy or Spy())
    try:
        runner.train()
    except Interrupted:
        pass
    return runner


def set_options(cfg, options, where=None):
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    if where is not None:
        cfg.work_dir = str(where)
        cfg.experiment_name = where.name
    return cfg


def make_cfg(work_dir, dataset, loop=ITER, schedule=[], **kwargs):
    cfg = runner_cfg(
        work_dir,
        dict(dataset, indices=8, serialize_data=False),  # faster
        loop=loop,
        param_scheduler=schedule,
        **kwargs,
    )
    return Config(cfg, format_python_code=False)


@pytest.fixture(scope='module')
def half(tmp_path_factory, toy_root):
    """Half of a training of 8 iterations, by ``make(name, ...)``: its folder
    and its config, made once for each name."""
    made = {}

    def make(name, stop_at=4, **kwargs):
        if name not in made:
            folder = tmp_path_factory.mktemp('half') / name
            cfg = make_cfg(folder, toy_dataset_cfg('seg', toy_root), **kwargs)
            cfg.default_hooks.checkpoint.interval = 4
            if cfg.train_cfg.get('max_epochs'):
                cfg.default_hooks.checkpoint.interval = 1
            train(cfg, Spy(stop_at))
            made[name] = cfg
        return made[name]

    return make


def go_on(cfg, tmp_path, options=(), stop_at=None):
    """Resume a copy of a training with other settings."""
    folder = tmp_path / 'again'
    shutil.copytree(cfg.work_dir, folder)
    cfg = set_options(cfg, dict(options, resume=True), folder)
    spy, messages = Spy(stop_at), []
    runner = train(cfg, spy, messages)
    return runner, spy, '\n'.join(map(str, messages))


def copy_of(half, folder):
    """A training, to do something to its checkpoint."""
    cfg = half('table', schedule=[COSINE])
    shutil.copytree(cfg.work_dir, folder)
    path = folder / 'iter_4.pth'
    return set_options(cfg, {}, folder), path, torch.load(path)


# ------------------------------------------------------------- the table

# what has changed: options, what is made of it, what the message says
TABLE = {
    'a rate': (
        {'optim_wrapper.sr_net.optimizer.lr': 1e-4},
        HONOURED,
        'optim_wrapper.sr_net.optimizer.lr: 0.001 -> 0.0001',
    ),
    'a schedule': (
        {'param_scheduler.0.eta_min': 1e-5},
        HONOURED,
        'param_scheduler.0.eta_min: (none) -> 1e-05',
    ),
    'its type': (
        {'param_scheduler': [dict(type='PolyLR', end=8, by_epoch=False)]},
        HONOURED,
        'param_scheduler.0.type: ',
    ),
    'length': (
        {'train_cfg.max_iters': 16},
        HONOURED,
        'train_cfg.max_iters: 8 -> 16',
    ),
    'weight decay': (
        {'optim_wrapper.sr_net.optimizer.weight_decay': 0.5},
        HONOURED,
        'optim_wrapper.sr_net.optimizer.weight_decay: (none) -> 0.5',
    ),
    'a loss': (
        {'model.phases.0.losses.1.begin': 0.2},
        HONOURED,
        'model.phases.0.losses.1.begin: 0.1 -> 0.2',
    ),
    'phases': ({'model.phases': JOINT}, HONOURED, '[sr, task] -> [joint]'),
    'hooks': (
        {'custom_hooks': [dict(type='EMAHook')]},
        WARNED,
        'custom_hooks: (none) -> [EMAHook]',
    ),
    'images': (
        {'train_dataloader.dataset.indices': 6},
        WARNED,
        'images: 8 -> 6',
    ),
    'batches': (
        {'train_dataloader.dataset.indices': 6},
        WARNED,
        'batches: 4 -> 3',
    ),
    'batch size': (
        {'train_dataloader.batch_size': 4},
        WARNED,
        'train_dataloader.batch_size: 2 -> 4',
    ),
    'pipeline': (
        {'train_dataloader.dataset.pipeline.3.prob': 0.0},
        WARNED,
        'train_dataloader.dataset.pipeline.3.prob: 0.5 -> 0.0',
    ),
    'sampler': (
        {'train_dataloader.sampler.shuffle': False},
        WARNED,
        'train_dataloader.sampler.shuffle: True -> False',
    ),
    'workers': (
        {'train_dataloader.num_workers': 1},
        WARNED,
        'train_dataloader.num_workers: 0 -> 1',
    ),
    'seed': ({'randomness.seed': 1}, WARNED, 'randomness.seed: 0 -> 1'),
    'optimizer': (
        {'optim_wrapper.sr_net.optimizer.type': 'SGD'},
        REFUSED,
        "optim_wrapper.sr_net.optimizer.type: 'AdamW' -> 'SGD'",
    ),
    'what an optimizer remembers': (
        {'optim_wrapper.sr_net.optimizer.amsgrad': True},
        REFUSED,
        'optim_wrapper.sr_net.optimizer.amsgrad: (none) -> True',
    ),
    'networks that are trained': (
        {
            'optim_wrapper': dict(
                _delete_=True,
                constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
                sr_net=dict(optimizer=dict(type='AdamW', lr=1e-3)),
            ),
            'model.phases': SR4IR[:1],
        },
        REFUSED,
        'parameters.task_model: [',
    ),
    'weights': (
        {'model.sr_net.mid_channels': 5, 'load_strict': False},
        REFUSED,
        'of another shape: sr_net.conv_first.weight (4, 3, 3, 3) for (5',
    ),
    'groups of parameters': (
        {
            'optim_wrapper.sr_net.paramwise_cfg': dict(
                custom_keys=dict(body=dict(lr_mult=0.1))
            )
        },
        REFUSED,
        'parameters.sr_net: [14] -> ',
    ),
    'classes': (
        {
            'train_dataloader.dataset.metainfo.classes': [
                'background',
                'checker',
                'stripes',
                'other',
                'names',
            ]
        },
        REFUSED,
        'classes: ',
    ),
    'epochs for iterations': (
        {'train_cfg': dict(EPOCH, _delete_=True)},
        REFUSED,
        "steps: 'iterations' -> 'epochs'",
    ),
    'length below what is trained': (
        {'train_cfg.max_iters': 4},
        REFUSED,
        'train_cfg.max_iters=4: nothing is left to train',
    ),
}


@pytest.mark.parametrize('what', TABLE)
def test_what_has_changed(tmp_path, half, what):
    options, verdict, text = TABLE[what]
    cfg = half('table', schedule=[COSINE])
    if verdict == REFUSED:
        with pytest.raises(ValueError, match='--resume: .*iter_4.pth') as e:
            go_on(cfg, tmp_path, options)
        assert text in str(e.value)
        return
    runner, spy, messages = go_on(cfg, tmp_path, options, stop_at=5)
    assert text in messages and len(spy.rates) == 1
    before, _, after = messages.partition('as if in one go')
    assert text in (after if verdict == WARNED else before)


def test_what_does_not_matter_is_not_said(tmp_path, half):
    cfg = half('table', schedule=[COSINE])
    options = {
        'train_dataloader.pin_memory': True,
        'model.sr_net.init_cfg': None,
        'default_hooks.logger.interval': 7,
    }
    *_, messages = go_on(cfg, tmp_path, options, stop_at=5)
    assert 'changed' not in messages


def test_data_may_move(tmp_path, toy_dataset):
    """Absolute paths in annotations' settings, too."""
    cfg = make_cfg(tmp_path / 'w', toy_dataset)
    cfg.default_hooks.checkpoint.interval = 4
    data = cfg.train_dataloader.dataset
    here, there = (
        data.data_root,
        shutil.copytree(data.data_root, tmp_path / 'x'),
    )
    data.ann_file = f'{here}/{data.ann_file}'
    train(cfg, Spy(4))
    options = {
        'train_dataloader.dataset.data_root': str(there),
        'train_dataloader.dataset.ann_file': data.ann_file.replace(
            here, str(there)
        ),
    }
    *_, messages = go_on(cfg, tmp_path, options, stop_at=5)
    assert 'changed' not in messages
    options['train_dataloader.dataset.ann_file'] = data.ann_file.replace(
        'train', 'val'
    )
    shutil.rmtree(tmp_path / 'again')
    *_, messages = go_on(cfg, tmp_path, options, stop_at=5)
    assert 'ann_file: ' in messages


@pytest.mark.parametrize(
    ('key', 'verdict'),
    [
        ('val_evaluator.iou_metrics', WARNED),
        ('val_dataloader.dataset.ann_file', WARNED),
        ('val_dataloader.batch_size', IGNORED),
        ('world_size', WARNED),
        ('train_dataloader.persistent_workers', IGNORED),
        ('optim_wrapper.type', HONOURED),
        ('optim_wrapper.optimizer.type', REFUSED),  # of a single network
    ],
)
def test_verdicts(key, verdict):
    assert Change(key, 1, 2).verdict == verdict


# ----------------------------------------------------------------- rates

WARM_UP = dict(
    type='LinearLR', start_factor=0.1, begin=0, end=3, by_epoch=False
)
LATER = dict(COSINE, begin=3)
LOWER = {'optim_wrapper.sr_net.optimizer.lr': 1e-4}
LONGER = {'train_cfg.max_iters': 16}
RATES = {
    'lower': ([COSINE], LOWER),
    'longer': (
        [COSINE],
        {
            **LONGER,
            'param_scheduler.0.T_max': 16,
            'param_scheduler.0.end': 16,
        },
    ),
    'end of training': (
        [dict(type='CosineAnnealingLR', by_epoch=False)],
        LONGER,
    ),
    'warm-up': ([WARM_UP, LATER], {'param_scheduler.0.start_factor': 0.5}),
    'another type': (
        [COSINE],
        {'param_scheduler': [dict(type='PolyLR', end=9, by_epoch=False)]},
    ),
    'none any more': ([COSINE], {'param_scheduler': []}),
    'none before': ([], {'param_scheduler': [COSINE]}),
    'momentum': (
        [dict(COSINE, type='CosineAnnealingMomentum', eta_min=0.5)],
        LOWER,
    ),
    'by network': (
        dict(sr_net=[COSINE], task_model=[WARM_UP, LATER]),
        {'param_scheduler.task_model.0.end': 2, **LOWER},
    ),
    'epochs of another length': (
        [dict(COSINE, by_epoch=True, convert_to_iter_based=True)],
        {'train_dataloader.dataset.indices': 4},
    ),
    'all scaled': (
        [COSINE],
        {'auto_scale_lr': dict(enable=True, base_batch_size=1)},
    ),
    'accumulated': (
        [COSINE],
        {'optim_wrapper.sr_net.accumulative_counts': 2, **LOWER},
    ),
}


BY_EPOCH = dict(type='MultiStepLR', milestones=[1, 2], by_epoch=True)
BY_ITER = dict(
    type='CosineAnnealingLR',
    T_max=4,
    end=4,
    by_epoch=True,
    convert_to_iter_based=True,
)
BATCHES = {'train_dataloader.batch_size': 4}
HALF = {'train_dataloader.dataset.indices': 4}
EPOCH_RATES = {
    'lower': ([BY_EPOCH, BY_ITER], LOWER),
    'batch size': ([BY_EPOCH, BY_ITER], BATCHES),
    'images': ([BY_ITER], HALF),
    'longer': ([BY_ITER], {'train_cfg.max_epochs': 6}),
    'by epoch': ([BY_ITER], {'param_scheduler': [BY_EPOCH]}),
}


@pytest.mark.parametrize(
    ('loop', 'what'),
    [*((ITER, key) for key in RATES), *((EPOCH, key) for key in EPOCH_RATES)],
    ids=lambda x: x if isinstance(x, str) else '',
)
def test_rates_are_those_of_the_new_settings(
    tmp_path, half, what, loop, monkeypatch
):
    """From the start, bit for bit."""
    # rates do not depend on what is trained
    idle = dict(loss=torch.zeros(()))
    monkeypatch.setattr(_AlternatingLoop, '_run_phases', lambda *_: idle)
    by_epoch = loop is EPOCH
    schedule, options = (EPOCH_RATES if by_epoch else RATES)[what]
    cfg = half(f'{what} {by_epoch}', schedule=schedule, loop=loop)
    whole = Spy()
    train(set_options(cfg, options, tmp_path / 'whole'), whole)
    runner, spy, messages = go_on(cfg, tmp_path, options)
    assert next(iter(options)).split('.')[0] in messages
    assert len(spy.rates) < runner.max_iters == len(whole.rates)
    assert spy.rates == whole.rates[-len(spy.rates) :]
    assert runner.iter == runner.max_iters


@pytest.mark.parametrize('options', [BATCHES, HALF], ids=['batches', 'images'])
def test_epochs_of_another_length(tmp_path, half, options):
    """Iterations are counted anew: beyond max_iters no phase was active."""
    cfg = half('epochs', loop=EPOCH, stop_at=8)
    runner, spy, _ = go_on(cfg, tmp_path, options)
    assert len(spy.phases) == 4 and all(spy.phases)
    assert runner.iter == runner.max_iters == 8
    old, new = (
        torch.load(f'{folder}/epoch_{n}.pth')['state_dict']
        for folder, n in ((cfg.work_dir, 2), (runner.work_dir, 4))
    )
    assert not any(
        torch.equal(old[k], new[k]) for k in old if k.endswith('conv1.weight')
    )


def test_moments_are_kept(tmp_path, half):
    cfg = half('table', schedule=[COSINE])
    before = torch.load(f'{cfg.work_dir}/iter_4.pth')['optimizer']['sr_net']
    runner, *_ = go_on(cfg, tmp_path, LOWER, stop_at=4)
    after = runner.optim_wrapper['sr_net'].state_dict()
    for index, state in before['state'].items():
        for key, value in state.items():
            assert torch.equal(after['state'][index][key], value)


@pytest.mark.parametrize('without', ['optimizer', 'param_schedulers'])
def test_rates_without_their_state(tmp_path, half, without):
    """mmengine went on with the schedule from the first rate."""
    cfg, path, checkpoint = copy_of(half, tmp_path / 'cut')
    expected = [
        group['lr']
        for state in checkpoint['optimizer'].values()
        for group in state['param_groups']
    ]
    del checkpoint[without]
    torch.save(checkpoint, path)
    _, spy, _ = go_on(cfg, tmp_path, stop_at=5)
    assert spy.rates == [expected]


def test_rates_that_depend_on_validations_go_on(tmp_path, half):
    schedule = [
        dict(type='ReduceOnPlateauLR', monitor='mIoU', by_epoch=True),
        COSINE,
    ]
    cfg = half('plateau', schedule=schedule)
    checkpoint = torch.load(f'{cfg.work_dir}/iter_4.pth')
    _, spy, messages = go_on(cfg, tmp_path, LOWER, stop_at=5)
    groups = checkpoint['optimizer']['sr_net']['param_groups']
    assert spy.rates[0][0] == groups[0]['lr']
    assert 'the rates of sr_net depend on validations' in messages


# ----------------------------------------------------------------- phases

S2T = [dict(SR4IR[0], end=0.5), dict(SR4IR[1], begin=0.5)]


def test_phases_that_move_are_named(tmp_path, half):
    """S -> T of 8 iterations, at 4: of 20, S goes on training."""
    cfg = half('s2t', model=model_cfg(phases=S2T), stop_at=6)
    _, spy, messages = go_on(cfg, tmp_path, {'train_cfg.max_iters': 20}, 11)
    assert spy.phases == [{'sr'}] * 6 + [{'task'}]
    assert 'phase sr: off -> on, until iter 10 of 20' in messages
    assert 'phase task: on -> off, until iter 10 of 20' in messages
    assert 'TDPLoss: ' not in messages


# ------------------------------------------------------------ old and other


def test_a_checkpoint_in_the_middle_of_an_epoch(tmp_path, half):
    """The epoch begins anew; iterations beyond max_iters had no phase."""
    cfg = copy.deepcopy(half('epochs', loop=EPOCH, stop_at=8))
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=3)
    cfg = set_options(cfg, {}, tmp_path / 'middle')
    train(cfg, Spy(stop_at=11))
    runner, spy, messages = go_on(cfg, tmp_path)
    assert len(spy.phases) == 8 and all(spy.phases)
    assert runner.iter == runner.max_iters == 16
    assert 'epoch 3 begins anew' in messages


@pytest.mark.parametrize('run', [None, 'a name'])
def test_a_checkpoint_of_mmengine(tmp_path, half, run):
    """It knows neither its run nor how many images there were; other tools
    may have written something else."""
    cfg, path, checkpoint = copy_of(half, tmp_path / 'old')
    checkpoint['meta']['run'] = run
    torch.save(checkpoint, path)
    (tmp_path / 'old' / 'run.json').unlink()
    options = {'train_dataloader.dataset.indices': 6, **LOWER}
    _, spy, messages = go_on(cfg, tmp_path, options, stop_at=5)
    assert 'does not know its run' in messages
    assert 'indices: 8 -> 6' in messages and 'images' not in messages
    assert spy.rates[0][0] < 1e-4


def test_a_config_that_is_more_than_data(tmp_path, half):
    """Facts are compared all the same."""
    cfg, path, checkpoint = copy_of(half, tmp_path / 'odd')
    checkpoint['meta']['cfg'] += 'x = print()'
    torch.save(checkpoint, path)
    options = {'train_dataloader.dataset.indices': 6}
    *_, messages = go_on(cfg, tmp_path, options, stop_at=5)
    assert 'images: 8 -> 6' in messages
    assert 'iter_4.pth cannot be compared' in messages


def test_a_seed_that_was_drawn(tmp_path, half):
    """Samplers have another by the time that the checkpoint is read."""
    cfg = half('unseeded', randomness=dict(seed=None))
    path = shutil.copy(f'{cfg.work_dir}/iter_4.pth', tmp_path)
    seed = torch.load(path)['meta']['seed']
    options = dict(resume=True, load_from=path)
    messages = []
    other = set_options(cfg, options, tmp_path / 'other')
    train(other, Spy(5), messages)
    assert f'randomness.seed: {seed} -> ' in str(messages)
    *_, messages = go_on(cfg, tmp_path, stop_at=5)
    assert 'changed' not in messages


def test_a_runner_without_a_config(tmp_path, toy_dataset):
    cfg = make_cfg(tmp_path, toy_dataset)
    settings = {
        key: cfg[key]
        for key in (
            'model work_dir train_dataloader train_cfg optim_wrapper '
            'default_hooks default_scope randomness log_level'
        ).split()
    }
    for step in (3, 5):
        runner = Runner(
            resume=step > 3, experiment_name=f'bare{step}', **settings
        )
        runner.register_hook(Spy(step))
        messages = []
        runner.logger.warning = messages.append
        with pytest.raises(Interrupted):
            runner.train()
        assert runner.iter == step
    assert 'cannot be compared' in str(messages)


@pytest.mark.parametrize(
    ('key', 'length'),
    [
        ('max_iters', 0),
        ('max_epochs', 0),
        ('max_iters', 2.5),
        ('max_iters', 'eight'),
        ('max_epochs', None),
        ('max_epochs', float('inf')),
    ],
)
def test_nothing_to_train(tmp_path, toy_dataset, key, length):
    loop = EPOCH if key == 'max_epochs' else ITER
    cfg = make_cfg(tmp_path, toy_dataset, loop={**loop, key: length})
    with pytest.raises(ValueError, match=f'train_cfg.{key}={length!r}: '):
        train(cfg)
