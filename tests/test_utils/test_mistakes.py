"""What users do wrong is answered by one sentence."""

import copy
import warnings

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from tiny import SR4IR, model_cfg, runner_cfg
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
)

from sr4ir_mm.utils.config_keys import find_unread
from sr4ir_mm.utils.mistakes import explain, one_sentence


def losses(**change):
    phases = copy.deepcopy(SR4IR)
    phases[0]['losses'][0].update(change)
    return dict(model=model_cfg(phases=phases))


def sr_net(**change):
    return dict(model=model_cfg(sr_net=dict(model_cfg().sr_net, **change)))


MISTAKES = [
    (losses(weight='1'), r"^PixelLoss.weight='1': expected a number.$"),
    (losses(weight=None), r'^PixelLoss.weight=None: expected a number.$'),
    (losses(weight=-1.0), r'^PixelLoss.weight=-1.0: .*maximise the loss.$'),
    (
        losses(wieght=1.0),
        r'^model.phases.0.losses.0.wieght: sr4ir_mm.PixelLoss has no such '
        r'argument; did you mean weight\? It has weight, criterion, begin, '
        r'end.$',
    ),
    (
        losses(type='sr4ir_mm.PixelLos'),
        r"^model.phases.0.losses.0.type='sr4ir_mm.PixelLos': there is no such "
        r"model; did you mean 'sr4ir_mm.PixelLoss'",
    ),
    (
        sr_net(type='EDSRNet'),
        r"^model.sr_net.type='EDSRNet': .*did you mean .*'sr4ir_mm.EDSRNet'"
        r".*default_scope='mmseg' needs its prefix",
    ),
    (sr_net(mid_chanels=4), r'^model.sr_net.mid_chanels: .*mid_channels\?'),
    (
        dict(loop=dict(type='AlternatingIterTrainLoop', max_iters=1)),
        r"^train_cfg.type='Alt.*'sr4ir_mm.AlternatingIterTrainLoop'",
    ),
    (
        dict(
            optim_wrapper=dict(
                constructor='sr4ir_mm.NetworkOptimWrapperConstructor',
                sr_net=dict(optimizer=dict(type='Adem', lr=1)),
                task_model=dict(optimizer=dict(type='SGD', lr=1)),
            )
        ),
        r"^optim_wrapper.sr_net.optimizer.type='Adem': .*'Adam'",
    ),
    (
        dict(optim_wrapper=dict(sr_net=dict(), task_model=dict())),
        r"^optim_wrapper needs one .*constructor='sr4ir_mm.NetworkOptimWr",
    ),
    (
        dict(optim_wrapper=dict(type='OptimWrapper', sr_net=dict())),
        r"^optim_wrapper needs one .*constructor='sr4ir_mm.NetworkOptimWr",
    ),
]


@pytest.mark.parametrize('change,message', MISTAKES)
def test_one_sentence(tmp_path, toy_dataset, change, message):
    cfg = Config(runner_cfg(tmp_path, toy_dataset, **change))
    cfg.runner_type = 'sr4ir_mm.Runner'
    with pytest.raises(Exception) as error:
        RUNNERS.build(cfg).train()
    text = explain(error.value, cfg)
    assert '\n' not in text
    import re

    assert re.search(message, text), text


@pytest.mark.parametrize(
    'key,near', [('batchsize', 'batch_size'), ('worker', 'num_workers')]
)
def test_key_that_a_data_loader_has_not(tmp_path, toy_dataset, key, near):
    cfg = Config(runner_cfg(tmp_path, toy_dataset))
    cfg.runner_type = 'sr4ir_mm.Runner'
    cfg.train_dataloader[key] = 4
    with pytest.raises(TypeError) as error:
        RUNNERS.build(cfg).train()
    text = explain(error.value, cfg)
    start = f'train_dataloader.{key}: DataLoader has no such argument'
    assert text.startswith(f'{start}; did you mean {near}? It has ')


def test_traceback_goes_to_the_log(tmp_path, toy_dataset, capsys):
    cfg = Config(runner_cfg(tmp_path, toy_dataset, log_level='INFO'))
    with pytest.raises(SystemExit) as end:
        with one_sentence(cfg):
            RUNNERS.build(cfg)
            raise ValueError('Something with a key.')
    text = capsys.readouterr().err
    assert end.value.code == 1
    assert '\nerror: Something with a key.\n' in f'\n{text}'
    (log,) = tmp_path.rglob('*.log')
    assert str(log) in text.splitlines()[-1]
    assert 'Traceback' in log.read_text()
    with pytest.raises(ValueError), one_sentence(cfg, debug=True):
        raise ValueError


def test_the_launcher_ends_with_the_sentence(tmp_path, monkeypatch):
    """As torchrun says what became of a rank."""
    path = str(tmp_path / 'error.json')
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', path)
    with pytest.raises(SystemExit), one_sentence():
        raise ValueError('Something with a key.')
    failures = {0: ProcessFailure(0, 1234, 1, path)}
    *_, text, _, border = str(ChildFailedError('a', failures)).splitlines()
    assert text.endswith(' : error: Something with a key.')
    assert set(border) == {'='}


@pytest.mark.parametrize(
    'key,expected',
    [
        ('train_cfg.max_iter', 'did you mean train_cfg.max_iters?'),
        ('model.sr_net.num_block', 'did you mean model.sr_net.num_blocks?'),
        ('modle.scale', 'did you mean model?'),
        ('optim_wrapper.sr_nett.optimizer.lr', 'optim_wrapper.sr_net?'),
        ('model.phases.2.name', "model.phases has no '2'"),
        ('data_root', 'set train_dataloader.dataset.data_root instead'),
        # variables whose content the config has elsewhere
        (
            'phases.0.losses.0.weight',
            'set model.phases.0.losses.0.weight instead',
        ),
        ('dataset.img_suffix', 'set train_dataloader.dataset.img_suffix'),
        # what is read, although the config does not have it
        ('model.sr_net.res_scale', None),
        ('auto_scale_lr.enable', None),
        ('load_strict', None),
        ('model.sr_net.init_cfg', None),
        ('default_hooks.checkpoint.max_keep_ckpts', None),
        ('train_dataloader.num_workers', None),
    ],
)
def test_options_that_nothing_reads(tmp_path, toy_dataset, key, expected):
    loop = dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=1)
    cfg = runner_cfg(tmp_path, toy_dataset, loop=loop)
    cfg.update(data_root='data', phases=cfg['model']['phases'])
    cfg['dataset'] = cfg['train_dataloader']['dataset']
    found = find_unread(Config(cfg), {key: 1})
    assert list(found) == ([] if expected is None else [key])
    assert expected is None or expected in found[key]


def test_commands_without_a_runner_are_short_too(capsys):
    """infer and export printed what a training had left out."""
    logger = MMLogger.get_instance('of_a_command')
    with one_sentence():
        logger.info('backbone feature_info[0]: {}')
        logger.info('Loads checkpoint')
        warnings.warn('torch.meshgrid: in an upcoming release', stacklevel=1)
        warnings.warn('something else', stacklevel=1)
    del MMLogger._instance_dict['of_a_command']
    captured = capsys.readouterr()
    assert 'Loads checkpoint' in captured.out
    assert 'UserWarning: something else' in captured.out
    for text in ('feature_info', 'meshgrid'):
        assert text not in captured.out + captured.err
