"""The small trained models of ``model_zoo/``, which come with the package."""

import os.path as osp
from pathlib import Path
from typing import Dict

from sr4ir_mm.utils.files import find_folder


def list_models() -> Dict[str, str]:
    """Paths of their files, by name."""
    folder = find_folder('model_zoo')
    files = sorted(folder.glob('*/model.safetensors')) if folder else []
    return {file.parent.name: str(file) for file in files}


def find_checkpoint(name: str) -> str:
    """The path of a model of the zoo, if it is one's name and no file's; else
    what was given."""
    return name if osp.exists(name) else list_models().get(name, name)


def suggest_models(name: str) -> str:
    """What there is, a line each, for who asks for a model that there is not:
    empty if that looks like a file.

    Args:
        name (str): What was asked for.
    """
    if osp.basename(name) != name or osp.splitext(name)[1]:
        return ''
    lines = [
        f'\n  {name}: {_first_sentence(path)}'
        for name, path in list_models().items()
    ]
    return ' The model zoo has' + ''.join(lines or [' none.'])


def _first_sentence(path: str) -> str:
    """Of the model's card, below the title."""
    text = Path(path).with_name('README.md').read_text(encoding='utf-8')
    return text.split('\n\n')[1].replace('\n', ' ')
