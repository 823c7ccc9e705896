"""Writes the table of stacks in docs/en/get_started.md from what the
constraints pin, and from the facts above the pins.

    python .dev_scripts/stacks_table.py

With ``--check``, it writes nothing, and fails if it would.
"""

import re
import sys
from pathlib import Path
from typing import Dict

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'en' / 'get_started.md'
STACKS = ('torch2.11', 'torch2.1', 'onedl')
FACTS = (
    'Python',
    'CUDA of the torch wheel',
    'NVIDIA cards',
    "mmcv's operators",
    'tested',
)
PACKAGES = (
    'torch torchvision numpy opencv-python mmengine mmcv mmsegmentation mmdet '
    'mmpretrain mmagic'
).split()
# What a fork is called, where it is more than `onedl-` and the name.
FORKS = dict(mmdet='onedl-mmdetection')


def read_stack(name: str) -> Dict[str, str]:
    """Cells of a column, by the names of rows.

    Args:
        name (str): The stack's.
    """
    path = ROOT / 'requirements' / 'constraints' / f'{name}.txt'
    text = path.read_text(encoding='utf-8')
    facts = dict(re.findall(r"^# ([\w' ]+): (.+)$", text, re.M))
    pins = {}
    for package, version in re.findall(r'^([\w-]+)==([^ ;\n]+)', text, re.M):
        pins.setdefault(package, []).append(version)
    cells = {fact: facts[fact] for fact in FACTS}
    for package in PACKAGES:
        fork = FORKS.get(package, f'onedl-{package}')
        found = fork if fork in pins else package
        versions = ' or '.join(reversed(pins[found]))
        cells[package] = f'{found} {versions}' if found == fork else versions
    return cells


def make_table() -> str:
    """In Markdown."""
    columns = [read_stack(name) for name in STACKS]
    head = ['', f'`{STACKS[0]}` (default)', *(f'`{s}`' for s in STACKS[1:])]
    rows = [head, ['---'] * len(head)]
    for name in columns[0]:
        rows.append([name, *(cells[name] for cells in columns)])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def main() -> None:
    """Put it into the page, between its marks."""
    before = PAGE.read_text(encoding='utf-8')
    after = re.sub(
        r'(<!-- table stacks -->\n).*?(<!-- end -->)',
        lambda marks: f'{marks[1]}{make_table()}\n{marks[2]}',
        before,
        flags=re.S,
    )
    if '--check' not in sys.argv[1:]:
        PAGE.write_text(after, encoding='utf-8')
    elif before != after:
        sys.exit(f'{PAGE.name} is not of these constraints: run {sys.argv[0]}')


if __name__ == '__main__':
    main()
