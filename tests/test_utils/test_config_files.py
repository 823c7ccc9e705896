"""Configs and options that cannot be read, or not as one would think."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version
from torch.distributed.elastic.utils.distributed import get_free_port

from sr4ir_mm.cli import ConfigOptions
from sr4ir_mm.utils.config_files import (
    find_config,
    merge_options,
    read_config_file,
)

# What is wrong with base.py, from which config.py inherits.
UNREADABLE = {
    '_base_ = "./config.py"': r'base.py: .*circle: .*config.py -> .*config.py',
    '_base_ = "./base.py"': r'base.py: .*circle: \S*base.py -> \S*base.py$',
    'a = 1\nname = "Caf\xe9"': r'base.py, line 2: it is no text in UTF-8',
    'a = 1\nb = dict(c=1': r"base.py, line 2: .* in 'b = dict\(c=1'$",
    'a = 1\n\nb = a / 0': r'base.py, line 3: ZeroDivisionError',
    'a = 1\nb = c.d': r"base.py, line 2: NameError: name 'c'",
    'def f():\n  return {}["a"]\n\nb = f()': r'base.py, line 2: KeyError: a',
    '_base_ = "./gone.py"': r'base.py: there is no .*gone.py, which is its',
    'model = 1': r'config.py: .*[Dd]uplicate key.*model',
}


@pytest.mark.parametrize('content', UNREADABLE)
def test_the_file_and_line_are_named(tmp_path, content):
    other = tmp_path / 'other.py'
    other.write_text('model = 2')
    config, base = tmp_path / 'config.py', tmp_path / 'base.py'
    bases = ['./base.py', './other.py'] if 'model' in content else './base.py'
    config.write_text(f'_base_ = {bases!r}\n')
    base.write_text(content, encoding='latin-1')
    with pytest.raises(ValueError) as error:
        read_config_file(str(config))
    assert re.search(UNREADABLE[content], str(error.value)), error.value


def test_other_formats_and_no_file(tmp_path):
    path = tmp_path / 'config.json'
    path.write_text('{"model": ')
    with pytest.raises(ValueError, match=r'config.json, line 1: Expecting'):
        read_config_file(str(path))
    path.write_text('{"model": {"scale": 4}}')
    assert read_config_file(str(path)).model.scale == 4
    for name in ('gone.py', ''):
        with pytest.raises(FileNotFoundError, match='There is no config'):
            read_config_file(str(tmp_path / name))


def parse(*texts):
    parser = argparse.ArgumentParser()
    parser.add_argument('--o', nargs='+', action=ConfigOptions, default={})
    return parser.parse_args(['--o', *texts]).o


@pytest.mark.parametrize(
    'text,value',
    [
        # blanks inside a value stay
        ('my data', 'my data'),
        ('/data/my images (old), 2', ['/data/my images (old)', 2]),
        ('/data/my images (old)', '/data/my images (old)'),
        ('[a b, c]', ['a b', 'c']),
        ('"my data, new"', 'my data, new'),
        ("it's", "it's"),
        ('[\'a, b\', "c"]', ['a, b', 'c']),
        ('a=b c', 'a=b c'),
        ("'2'", '2'),
        ('"a, b", "c"', ['a, b', 'c']),
        # as mmengine has it
        ('1', 1),
        ('-1e-4', -1e-4),
        ('true', True),
        ('None', None),
        ('', ''),
        ('1,2', [1, 2]),
        ('[1, 2]', [1, 2]),
        ('[]', []),
        ('(1,)', (1,)),
        ('[(1, 2), [a, b], c]', [(1, 2), ['a', 'b'], 'c']),
        ('(1,2),(3,4)', [(1, 2), (3, 4)]),
        ('"[(a,b),(c,d)]"', [('a', 'b'), ('c', 'd')]),
        ("['backbone.blocks.1']", ['backbone.blocks.1']),
    ],
)
def test_values(text, value):
    (found,) = parse(f'key={text}').values()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    'text,reason',
    [
        ('key', 'expected KEY=VALUE'),
        ('=1', 'expected KEY=VALUE'),
        ('key=[1,2', "']' is missing at the end"),
        ('key=[1', "']' is missing at the end"),
        ('key=1,2)', "no bracket that ')' closes"),
        ('key=[1,(2])', "no bracket that ']' closes"),
        ("key='a", '"\'" is missing at the end'),
    ],
)
def test_what_is_no_option(text, reason, capsys):
    with pytest.raises(SystemExit) as end:
        parse('good=1', text)
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert text in last and reason in last


def test_options_are_merged():
    cfg = Config(dict(model=dict(phases=[dict(name='sr')], scale=4)))
    merge_options(cfg, {'model.phases.0.name': 'a', 'model.scale': 8})
    assert cfg.model.phases[0].name == 'a' and cfg.model.scale == 8
    merge_options(cfg, {'model._delete_': True, 'model.type': 'b'})
    assert cfg.model == dict(type='b')


@pytest.mark.parametrize(
    'key,reason',
    [
        ('model.phases.3.name', "model.phases has no '3'"),
        ('model.phases.name', "model.phases has no 'name'"),
        ('model.scale.a', 'model.scale'),
    ],
)
def test_options_that_lead_nowhere(key, reason):
    cfg = Config(dict(model=dict(phases=[dict(name='sr')], scale=4)))
    with pytest.raises(ValueError) as error:
        merge_options(cfg, {'model.scale': 8, key: 1})
    text = str(error.value)
    assert text.startswith(f'--cfg-options {key}: ') and reason in text
    assert len(text) < 200


@pytest.mark.parametrize(
    'name', ['sr4ir_unet_toy_x4', 'toy/sr4ir_unet_toy_x4.py']
)
def test_configs_of_the_package_have_names(name, monkeypatch, tmp_path):
    names = [path.name for path in Path('configs').rglob('*.py')]
    assert len(names) == len(set(names))
    monkeypatch.chdir(tmp_path)
    assert find_config(name).endswith('configs/toy/sr4ir_unet_toy_x4.py')
    with pytest.raises(FileNotFoundError, match=r"no config 'ä'\.$"):
        find_config('ä')
    with pytest.raises(FileNotFoundError, match='did you mean sr4ir_unet_toy'):
        find_config('x/sr4ir_unet_toy_x4')


PROCESS = """
import atexit, sys
from pathlib import Path

import torch
from mmengine.config import Config

from sr4ir_mm.utils.config_files import adapt_to_cpu

def print_threads():  # called last, as it is registered first
    print(*(f.read_text() for f in Path('/proc/self/task').glob('*/comm')))

atexit.register(print_threads)
adapt_to_cpu(Config(dict(model={}, launcher='pytorch')))
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
model.itself = [model]
print_threads()
del model
print('end of main')
"""


@pytest.mark.skipif(
    not Path('/proc/self/task').is_dir(), reason='threads are read on Linux'
)
def test_no_thread_of_gloo_outlives_python(monkeypatch):
    """One that did aborted the process, now and then."""
    done = subprocess.run(
        [sys.executable, '-c', PROCESS],
        env=dict(
            os.environ,
            RANK='0',
            WORLD_SIZE='1',
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(get_free_port()),
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = done.stdout.split('end of main')
    has_names = digit_version(torch.__version__) >= digit_version('2.6')
    assert ('gloo' in before) == has_names and 'gloo' not in after
    assert len(after.split()) < len(before.split())
