"""Writes the reference from the code: ``reference/``, which git ignores.

Whatever gets registered, becomes a config or a script appears there by
itself; see conf.py.
"""

import contextlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple, Union
from unittest import mock

from mmengine.config import Config
from mmengine.registry import Registry

import sr4ir_mm.apis
from sr4ir_mm import registry
from sr4ir_mm.__main__ import main as command
from sr4ir_mm.models.phase import Phase
from sr4ir_mm.models.views import Views

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = HERE / 'reference'
FILES = PAGES / 'files'
BASES = ROOT / 'configs/_base_'
# of a Markdown link that leads to no page
LINK = r'(?<=\]\()(\.\./[^)#\s]+|\w+\.ipynb)'
# Titles of pages by module, of the registry that has networks, losses and
# degradations alike.
MODELS = {
    'sr4ir_mm.models.losses': 'Losses',
    'sr4ir_mm.models.degradations': 'Degradations',
    'sr4ir_mm.models.sr_nets': 'SR networks',
    'sr4ir_mm.models': 'Models',
}
# What configs do not name by `type`.
BESIDE = {'Views and phases': [Views, Phase]}
# Pages that say more than a file or a folder does.
BETTER = {
    'configs/_base_/recipes': 'recipes',
    'configs/_base_/sr_nets': 'sr_networks',
    'sr4ir_mm/apis': 'from_python',
    'sr4ir_mm/models/degradations.py': 'degradations',
}


def main() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    pages = {
        'From Python': from_python(),
        'Scripts': scripts(),
        'Recipes': recipes(),
        **registered(),
    }
    pages['SR networks'] += sr_nets()
    pages['Degradations'] += degradations()
    for title, text in pages.items():
        write(slug(title), f'# {title}\n\n{text}')
    names = '\n'.join(slug(title) for title in pages)
    write('index', f'# Reference\n\n```{{toctree}}\n{names}\n```\n')
    for notebook in HERE.glob('*.ipynb'):
        write(notebook.stem, as_page(notebook))
    for page in HERE.glob('*.md'):
        for target in re.findall(LINK, page.read_text()):
            show_file(page.parent / target)


def write(name: str, text: str) -> None:
    path = PAGES / f'{name}.md'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def slug(title: str) -> str:
    return title.lower().replace(' ', '_')


# ---------------------------------------------------------------------- code


def registered() -> dict:
    """Pages of what configs name by ``type='sr4ir_mm.NAME'``."""
    pages = {title: list(items) for title, items in BESIDE.items()}
    for own in vars(registry).values():
        if isinstance(own, Registry) and own.scope == 'sr4ir_mm':
            own.import_from_location()
            for item in own.module_dict.values():
                if item.__module__.startswith('sr4ir_mm.'):  # not a user's
                    pages.setdefault(title_of(own, item), []).append(item)
    return {
        title: '\n'.join(map(autodoc, [*bases_of(items), *items]))
        for title, items in pages.items()
    }


def bases_of(items: List[type]) -> List[type]:
    """Those of this package that have arguments of their own."""
    bases = [base for item in items for base in reversed(item.__mro__)]
    return [
        base
        for base in dict.fromkeys(bases)
        if base not in items
        and base.__module__.startswith('sr4ir_mm')
        and 'Args:' in (vars(base).get('__doc__') or '')
    ]


def title_of(own: Registry, item: type) -> str:
    if own is not registry.MODELS:
        return f'{own.name.capitalize()}s'
    return next(
        title
        for module, title in MODELS.items()
        if item.__module__.startswith(module)
    )


def autodoc(item: Any, *options: str) -> str:
    kind = 'class' if inspect.isclass(item) else 'function'
    lines = [
        f'## {item.__name__}',
        '',
        '```{eval-rst}',
        f'.. auto{kind}:: {item.__module__}.{item.__qualname__}',
        *(f'   {option}' for option in options if kind == 'class'),
        '```',
        '',
    ]
    return '\n'.join(lines)


def from_python() -> str:
    """What users call, and what else of that folder says how."""
    parts = [
        autodoc(
            getattr(sr4ir_mm.apis, name),
            ':members:',
            ':special-members: __call__',
        )
        for name in sr4ir_mm.apis.__all__
    ]
    path = sr4ir_mm.apis.__path__
    for found in pkgutil.walk_packages(path, 'sr4ir_mm.apis.'):
        module = importlib.import_module(found.name)
        parts += [
            autodoc(item)
            for name, item in vars(module).items()
            if getattr(item, '__module__', None) == module.__name__
            and not name.startswith('_')
            and name not in sr4ir_mm.apis.__all__
            and 'Args:' in (item.__doc__ or '')
        ]
    return '\n'.join(parts)


# ------------------------------------------------------------------- scripts


def scripts() -> str:
    """What each says of itself at ``--help``, or in its first comment."""
    texts = {'sr4ir': said_by(command, 'sr4ir', '--help')}
    tools = (ROOT / 'tools').rglob('*.*')
    for path in sorted(tools, key=lambda path: (len(path.parts), path)):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == '.sh':
            texts[name] = first_comment(path)
        elif path.suffix == '.py' and 'def parse_args' in path.read_text():
            texts[name] = help_of(path)
    return '\n'.join(
        f'## {name}\n\n```text\n{text}\n```\n' for name, text in texts.items()
    )


def help_of(path: Path, *name: str) -> str:
    """What it prints at ``--help``, and each of its commands."""
    with mock.patch.object(sys, 'path', [str(path.parent), *sys.path]):
        parse_args = runpy.run_path(str(path), run_name='')['parse_args']
    text = said_by(parse_args, path.name, *name, '--help')
    commands = re.match(r'usage:.*\{([\w,-]+)\} \.\.\.', text)
    if commands and not name:
        more = [help_of(path, name) for name in commands[1].split(',')]
        text = '\n\n\n'.join([text, *more])
    return text


def said_by(parse: Callable, *argv: str) -> str:
    out = io.StringIO()
    arguments = mock.patch.object(sys, 'argv', list(argv))
    width = mock.patch.dict(os.environ, COLUMNS='80')
    with arguments, width, contextlib.redirect_stdout(out):
        with contextlib.suppress(SystemExit):
            parse()
    return out.getvalue().strip()


# ------------------------------------------------------------------- configs


def recipes() -> str:
    parts = []
    for path, cfg in configs('recipes'):
        recipe = cfg.get('recipe', cfg)
        rows = [
            f'| `{phase.name}` | {networks(phase.trains)} '
            f'| {phase.get("begin", 0):.3g} to {phase.get("end", 1):.3g} '
            f'| {", ".join(map(loss_of, phase.losses))} |'
            for phase in recipe.phases
        ]
        head = '| phase | trains | from, to | losses |\n| --- |' + 3 * ' --- |'
        beside = [
            f'`{key}={value!r}`'
            for key, value in recipe.items()
            if key not in ('phases', 'recipe')
        ]
        if beside:
            rows.append(f'\nBeside phases: {", ".join(beside)}.')
        parts.append('\n'.join([titled(path), head, *rows, '']))
    return '\n'.join(parts)


def networks(trains: Union[str, List[str]]) -> str:
    return trains if isinstance(trains, str) else ', '.join(trains)


def loss_of(loss: dict) -> str:
    """``TaskLoss(views=...)``"""
    kind = loss['type'].rpartition('.')[2]
    options = [f'{k}={v!r}' for k, v in loss.items() if k != 'type']
    return f'`{kind}({", ".join(options)})`'


def sr_nets() -> str:
    intro = '## By name\n\n`wrap(..., sr_net=NAME)`, or a file in `_base_`:\n'
    return intro + ''.join(
        f'\n#{titled(path)}\n`{cfg.sr_net.type}`, x{cfg.scale}\n'
        for path, cfg in configs('sr_nets')
    )


def degradations() -> str:
    intro = (
        '## By name\n\n`wrap(..., degradation=NAME)`, or a file in `_base_`:\n'
    )
    return intro + ''.join(
        f'\n#{titled(path)}\n```python\n{path.read_text()}```\n'
        for path, _ in configs('degradations')
    )


def configs(kind: str) -> Iterator[Tuple[Path, Config]]:
    for path in sorted((BASES / kind).glob('*.py')):
        yield path, Config.fromfile(path)


def titled(path: Path) -> str:
    """A section named as the file, with what it says first."""
    return f'## {path.stem}\n\n{first_comment(path)}\n'


def first_comment(path: Path) -> str:
    lines = path.read_text().splitlines()
    lines = lines[1:] if lines[0].startswith('#!') else lines
    said = []
    for line in lines:
        if not line.startswith('#'):
            break
        said.append(line[2:])
    return '\n'.join(said)


# --------------------------------------------------------------------- files


def file_link(folder: Path, target: str) -> Optional[str]:
    """Address in the site of a file that is not of ``docs/en``, or None."""
    path = (folder / target).resolve()
    if path.suffix == '.ipynb':
        return f'/reference/{path.stem}.md'
    if path.suffix in ('.png', '.jpg') or HERE in path.parents:
        return None
    name = path.relative_to(ROOT).as_posix()
    return f'/reference/{BETTER.get(name, f"files/{name}")}.md'


def show_file(path: Path) -> None:
    """A page with a file's text, or what is in a folder, if something leads
    there."""
    link = file_link(HERE, str(path)) or ''
    path = path.resolve()
    page = HERE / link.lstrip('/')
    if FILES not in page.parents or page.exists() or not path.exists():
        return  # Sphinx warns of what is not there
    name = path.relative_to(ROOT).as_posix()
    write(f'files/{name}', '')  # it may lead to itself
    if path.suffix == '.md':
        text = with_links(path)
    elif path.is_dir():
        items = '\n'.join(
            f'- `{item.name}`' for item in sorted(path.iterdir())
        )
        text = f'# {name}\n\n{items}'
    else:
        language = 'python' if path.suffix == '.py' else 'text'
        text = f'# {name}\n\n~~~~{language}\n{path.read_text()}\n~~~~'
    write(f'files/{name}', f'---\norphan: true\n---\n\n{text}\n')


def with_links(path: Path) -> str:
    """A Markdown file from elsewhere, with links as they are in the site."""

    def to_site(link: re.Match) -> str:
        target = (path.parent / link[0]).resolve()
        show_file(target)
        return file_link(path.parent, link[0]) or os.path.relpath(
            target, (FILES / path.relative_to(ROOT)).parent
        )

    return re.sub(r'(?<=\]\()(?!\w+:)[^)#\s]+', to_site, path.read_text())


def as_page(notebook: Path) -> str:
    """A notebook as Markdown."""
    cells = json.loads(notebook.read_text())['cells']
    parts = [
        ''.join(cell['source'])
        if cell['cell_type'] == 'markdown'
        else f'```python\n{"".join(cell["source"])}\n```'
        for cell in cells
    ]
    file = f'{{download}}`{notebook.name} <../{notebook.name}>`'
    parts.insert(1, f'This page is a notebook: {file}.')
    return re.sub(r'\]\((?=\w+\.md)', '](../', '\n\n'.join(parts)) + '\n'


def exists(name: str) -> bool:
    """Whether a docstring's name is one of a module of this package, or of
    another package."""
    head, *rest = name.split('.')
    own = [m for n, m in sys.modules.items() if n.startswith('sr4ir_mm')]
    owners = [sys.modules.get(head), *(getattr(m, head, None) for m in own)]
    for attribute in rest:
        owners = [getattr(owner, attribute, None) for owner in owners]
    return any(owner is not None for owner in owners)
