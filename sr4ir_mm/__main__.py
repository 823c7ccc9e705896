"""The command ``sr4ir``: one name for the scripts in ``tools/``."""

import argparse
import sys
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from sr4ir_mm import __version__
from sr4ir_mm.utils.files import find_folder

# What each is for, and its script.
COMMANDS = dict(
    demo=('SR4IR on toy scenes, in minutes on a CPU', 'demo.py'),
    check=('look at data before a training', 'check.py'),
    advise=('would it help me, and which recipe?', 'advise.py'),
    init=('a config for your own data', 'init.py'),
    train=('train a model', 'train.py'),
    test=('test (and evaluate) a model', 'test.py'),
    infer=('super-resolve LR images and predict from them', 'infer.py'),
    export=('to ONNX or safetensors', 'deployment/export.py'),
    compare=('methods on single images', 'analysis_tools/compare.py'),
    report=('one page about some trainings', 'analysis_tools/report.py'),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='sr4ir',
        description='Super-resolution that is trained for recognition.',
        usage='sr4ir COMMAND ...',
        epilog='\n'.join(
            [
                'commands:',
                *(f'  {k:9}{what}' for k, (what, _) in COMMANDS.items()),
                '\nsr4ir COMMAND --help says more.',
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', help=argparse.SUPPRESS)
    command = parser.parse_args(sys.argv[1:2] or ['--help']).command
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 3, 0.5) or COMMANDS
        parser.error(
            f'there is no command {command!r}: did you mean '
            f'{" or ".join(near)}?'
        )
    script = find_folder('tools') / COMMANDS[command][1]
    sys.argv[:2] = [f'sr4ir {command}']  # what its usage begins with
    run(script)


def run(script: Path) -> None:
    """As Python does, but for the first of the arguments: ``runpy`` would
    replace it."""
    sys.path.insert(0, str(script.parent))
    spec = spec_from_file_location('__main__', str(script))
    module = sys.modules['__main__'] = module_from_spec(spec)
    module.__spec__ = None  # so that processes find the script by its path
    spec.loader.exec_module(module)


if __name__ == '__main__':
    main()
