"""The command ``sr4ir``, and what is not imported before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

import sr4ir_mm
from sr4ir_mm import __main__ as command

SCRIPTS = [
    str(path)
    for path in sorted(Path('tools').rglob('*.py'))
    if 'def parse_args' in path.read_text()
]
HEAVY = ('torch', 'numpy', 'mmengine', 'mmcv', 'cv2', 'PIL', 'matplotlib')
USAGE = """
import os, runpy, sys
for script in sys.argv[1:]:
    sys.path.insert(0, os.path.dirname(script))
    for option in ('--help', '--no-such-option'):
        sys.argv = [script, option]
        try:
            runpy.run_path(script, run_name='__main__')
        except SystemExit as exit:
            assert exit.code == (0 if option == '--help' else 2), script
    found = {heavy} & set(sys.modules)
    assert not found, (script, found)
"""


def run(*args, **kwargs):
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, **kwargs
    )


def test_usage_takes_no_toolbox():
    assert len(SCRIPTS) > 15
    done = run('-c', USAGE.replace('{heavy}', repr({*HEAVY})), *SCRIPTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('usage: ') == len(SCRIPTS)


@pytest.fixture
def sr4ir(monkeypatch, capsys):
    """Run the command, and return exit code and output."""

    def _run(*args):
        monkeypatch.setattr(sys, 'argv', ['sr4ir', *args])
        monkeypatch.setattr(sys, 'path', sys.path[:])
        monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])
        with pytest.raises(SystemExit) as exit:
            command.main()
        captured = capsys.readouterr()
        return exit.value.code, captured.out + captured.err

    return _run


def test_help_lists_the_commands(sr4ir):
    for args in ([], ['--help']):
        code, text = sr4ir(*args)
        assert code == 0
        for name, (what, _) in command.COMMANDS.items():
            assert f'  {name:9}{what}\n' in text
    assert sr4ir('--version') == (0, f'{sr4ir_mm.__version__}\n')


def test_an_unknown_command_names_the_near_ones(sr4ir):
    code, text = sr4ir('trian', 'config.py')
    assert code == 2
    assert "no command 'trian': did you mean train?" in text
    assert 'did you mean demo or check' in sr4ir('zzz')[1]


@pytest.mark.parametrize('name', command.COMMANDS)
def test_a_command_is_its_script(sr4ir, name):
    script = Path('tools', command.COMMANDS[name][1])
    if not script.is_file():
        pytest.skip(f'there is no {script} yet')
    code, text = sr4ir(name, '--help')
    assert code == 0 and text.startswith(f'usage: sr4ir {name} [-h]')
    code, text = sr4ir(name, '--no-such-option')
    assert code == 2 and f'\nsr4ir {name}: error: ' in text


def test_from_anywhere(sr4ir, tmp_path, monkeypatch):
    """With a config of ours, by its name."""
    monkeypatch.chdir(tmp_path)
    # which would be that of other tests, too
    monkeypatch.setattr(MMLogger, 'setLevel', lambda *args: None)
    code, text = sr4ir('check', 'sr4ir_resnet18_cub_x5')
    assert code == 1 and text.startswith(
        "error: There is no config 'sr4ir_resnet18_cub_x5': did you mean "
        'sr4ir_resnet18_cub_x'
    )
    code, text = sr4ir('check', 'sr4ir_resnet18_cub_x4')
    assert code == 1 and 'data/CUB_200_2011' in text  # which is not there


def test_what_is_asked_for_is_imported():
    from sr4ir_mm import SRInferencer, train, wrap
    from sr4ir_mm.apis import inferencer, training

    assert SRInferencer is inferencer.SRInferencer
    assert train is training.train and callable(wrap)
    assert {'SRInferencer', 'train', 'wrap'} <= set(dir(sr4ir_mm))
    with pytest.raises(AttributeError, match="'sr4ir_mm' has no attr.* 'no'"):
        sr4ir_mm.no  # noqa: B018
