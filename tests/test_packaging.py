"""An environment has OpenMMLab's packages or their forks, never both."""

import os
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from sr4ir_mm.compat import _FORKS

FOLDER = Path('requirements')
STACKS = sorted((FOLDER / 'constraints').glob('*.txt'))
MINE, FORK = set(_FORKS), set(_FORKS.values())


def named_in(path):
    """Packages that pip would install, those of files it refers to, too."""
    found = set()
    for line in path.read_text().splitlines():
        if line.startswith('-r '):
            found |= named_in(path.parent / line[3:])
        elif re.match('[a-z]', line):
            found.add(re.match(r'[\w-]+', line).group())
    return found


def test_requirements_are_of_one_kind():
    assert MINE <= named_in(FOLDER / 'mminstall.txt')
    assert FORK <= named_in(FOLDER / 'onedl-mminstall.txt')
    for path in [Path('requirements.txt'), *FOLDER.glob('*.txt')]:
        named = named_in(path)
        assert not (named & MINE and named & FORK), path
        if 'mminstall' not in path.name:  # whatever the engine is
            assert not named & (MINE | FORK), path


@pytest.mark.parametrize('path', STACKS, ids=lambda path: path.stem)
def test_constraints_pin_one_kind(path):
    named = named_in(path)
    assert named & (MINE | FORK) == (FORK if path.stem == 'onedl' else MINE)
    assert {'torch', 'torchvision', 'numpy', 'setuptools'} <= named


def test_extras_are_of_one_kind(monkeypatch):
    given = {}
    monkeypatch.setattr(
        'setuptools.setup', lambda **kwargs: given.update(kwargs)
    )
    runpy.run_path('setup.py')
    extras = dict(given['extras_require'], none=given['install_requires'])
    for extra, lines in extras.items():
        named = {re.match(r'[\w-]+', line).group() for line in lines}
        if extra in ('seg', 'det', 'cls', 'mim', 'all'):
            assert {'mmengine', 'mmcv'} <= named and not named & FORK
        elif extra.startswith('onedl'):
            engine = {'onedl-mmengine', 'onedl-mmcv'}
            assert engine < named and not named & MINE
        else:
            assert not named & (MINE | FORK), extra


def test_a_stack_that_there_is_not():
    done = subprocess.run(
        ['bash', 'tools/install.sh'],
        env=dict(os.environ, SR4IR_STACK='torch1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not done.stdout
    for stack in STACKS:
        assert stack.stem in done.stderr
