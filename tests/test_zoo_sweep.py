"""The sweep over the toolboxes' models: what it finds, and its table."""

import json
import sys
from pathlib import Path

import pytest

TOOLS = str(Path('.dev_scripts/zoo').absolute())


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)


@pytest.mark.parametrize(
    'toolbox,family,smallest',
    [
        ('mmpretrain', 'resnet', 'resnet18_8xb32_in1k.py'),
        ('mmseg', 'segformer', 'segformer_mit-b0'),
        ('mmdet', 'yolox', 'yolox_nano_8xb8-300e_coco.py'),
    ],
)
def test_families(toolbox, family, smallest):
    from zoo_models import choose, families, other_task

    found = families(toolbox)
    assert len(found) > 50
    path, cfg = choose(toolbox, found[family])
    assert smallest in path
    assert other_task(cfg) is None and cfg.optim_wrapper


def test_models_of_another_task():
    from zoo_models import choose, families, other_task

    _, cfg = choose('mmpretrain', families('mmpretrain')['simclr'][-1:])
    assert other_task(cfg) == 'SimCLR is no BaseClassifier'


def test_processes_have_limits():
    from zoo_sweep import in_process

    assert in_process(lambda r: r.update(x=1), 10, 6) == dict(x=1)
    result = in_process(lambda r: [0] * 2**40, 10, 6)
    assert result['error'].startswith('MemoryError')

    def busy(result):
        result['begun'] = True
        while True:
            pass

    result = in_process(busy, 1, 6)
    assert result['begun'] and 'more than 1 s' in result['error']


def test_table(tmp_path, monkeypatch):
    from zoo_sweep import main, verdict

    results = [
        dict(family='a'),
        dict(family='b', error='X: y', bare=dict(seconds=1)),
        dict(family='b'),  # again
        dict(family='c', error='X: y', bare=dict(error='Z: |')),
        dict(family='d', error='X: y', other_task='it is none', bare={}),
        dict(family='e', error='Ours: y', bare=dict(seconds=1)),
    ]
    assert [verdict(r) for r in results] == [
        'passed', 'ours', 'passed', 'bare', 'other', 'ours'
    ]  # fmt: skip
    path = tmp_path / 'mmseg.jsonl'
    path.write_text(''.join(json.dumps(r) + '\n' for r in results))
    with path.open('a') as file:
        file.write('{"family": "killed while wri')
    page = tmp_path / 'zoo.md'
    args = ['zoo_sweep.py', '--out', str(tmp_path), '--table', str(page)]
    monkeypatch.setattr(sys, 'argv', args)
    main()
    text = page.read_text()
    assert '| mmseg | 53 | 5 | 1 | 1 | 3 | 2 |' in text
    assert '| mmseg | e | `None` | **ours**: Ours: y |' in text
    assert 'fails alone: Z: \\|' in text and '**mmseg** (2): a, b.' in text
