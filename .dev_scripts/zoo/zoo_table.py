"""The sweep's table, as a page of the docs."""

import os.path as osp
import re
from datetime import date
from importlib.metadata import version
from typing import Dict, List

from mmengine.config.utils import MODULE2PACKAGE
from zoo_sweep import TOOLBOXES, load, shipped, verdict

HEAD = """# Every model of {whose}

Of every config family that the installed toolboxes ship, one config has been
put behind an SR network by [`wrap`](extend.md#your-own-model): built with
random weights, trained for an iteration of both phases with TDP, and asked for
a prediction, on two made-up images. What failed was tried again as its toolbox
runs it. This page is written by

```shell
python .dev_scripts/zoo/zoo_sweep.py --out FOLDER
python .dev_scripts/zoo/zoo_sweep.py --out FOLDER --table docs/en/{page}
```

*2 CPU cores, {date}; {versions}.*
The command goes on where it was stopped; what needs more time or memory than
its limits is repeated with
`--again --seconds 900 --memory 14`. A model is **of another task** if it is no
segmentor, detector or classifier of images, or no SR network that takes one
image. It **fails alone** if its config fails in its own toolbox here, too: on
a CPU, offline, with random weights and made-up data. Of those that **train
alone**, so many **pass** behind an SR network.

| toolbox | families | tried | another task | fail alone | train alone | pass |
| --- | --- | --- | --- | --- | --- | --- |
"""
OTHER = """
## What does not pass

| toolbox | family | config | why |
| --- | --- | --- | --- |
"""
LABELS = dict(other='of another task', bare='fails alone', ours='**ours**')


def write_table(path: str, folder: str) -> None:
    """Write the page from the results in a folder."""
    results = {
        toolbox: load(osp.join(folder, f'{toolbox}.jsonl'))
        for toolbox in TOOLBOXES
    }
    packages = [_distribution(name) for name in ('torch', *TOOLBOXES)]
    head = HEAD.rstrip('\n').format(
        whose='the forks' if 'onedl' in packages[1] else 'the toolboxes',
        page=osp.basename(path),
        date=date.today(),
        versions=', '.join(packages),
    )
    lines = [head]
    lines += [_counts(name, found) for name, found in results.items()]
    lines.append(OTHER.rstrip('\n'))
    lines += [row for name in results for row in _failures(name, results)]
    lines.append('\n## What works')
    lines += [_passed(name, found) for name, found in results.items()]
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')


def _distribution(module: str) -> str:
    name = MODULE2PACKAGE.get(module, module)
    return f'{name} {version(name)}'


def _counts(toolbox: str, found: Dict[str, dict]) -> str:
    kinds = [verdict(result) for result in found.values()]
    passed, ours = kinds.count('passed'), kinds.count('ours')
    cells = (
        toolbox,
        len(shipped(toolbox)),
        len(kinds),
        kinds.count('other'),
        kinds.count('bare'),
        passed + ours,
        passed,
    )
    return f'| {" | ".join(map(str, cells))} |'


def _failures(toolbox: str, results: Dict[str, dict]) -> List[str]:
    rows = []
    for family, result in sorted(results[toolbox].items()):
        kind = verdict(result)
        if kind == 'passed':
            continue
        reason = result.get('other_task')
        if kind != 'other':
            shown = result['bare'] if kind == 'bare' else result
            reason = _sentence(shown['error'])
        cells = toolbox, family, f'`{result.get("config")}`'
        rows.append(f'| {" | ".join(cells)} | {LABELS[kind]}: {reason} |')
    return rows


def _sentence(error: str) -> str:
    error = error.strip().split('\n')[0].replace('|', '\\|')
    # of a file, what is below the environment's folder
    built = r'pip-req-build-\w+|pip-wheel-\w+/[^/]+'
    error = re.sub(rf'/\S*?/(site-packages|{built})/', '', error)
    return error if len(error) < 160 else error[:157] + '...'


def _passed(toolbox: str, found: Dict[str, dict]) -> str:
    names = sorted(f for f, r in found.items() if verdict(r) == 'passed')
    return f'\n**{toolbox}** ({len(names)}): {", ".join(names)}.'
