"""A sample of `.dev_scripts/walk.py`, which takes every config through all
that a user does with one."""

import importlib.util

import pytest

spec = importlib.util.spec_from_file_location('walk', '.dev_scripts/walk.py')
walk = importlib.util.module_from_spec(spec)
spec.loader.exec_module(walk)


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    """Data is made once."""
    return tmp_path_factory.mktemp('walk')


def take(path, out, steps):
    way = walk.Walk(path, out / path.replace('/', '_'))
    for step in steps:
        log = out / f'{step}.log'
        error = walk.in_process(way.take, step, log=log)
        assert not error, f'{error}\n{log.read_text()[-3000:]}'


@pytest.mark.parametrize(
    'name,steps',
    [
        ('unet', walk.STEPS),
        ('fcos', ['train', 'hr']),
        ('resnet18', ['train', 'array']),
    ],
)
def test_toy_configs(name, steps, out):
    pytest.importorskip('plotly')
    pytest.importorskip('onnxruntime')
    take(f'configs/toy/sr4ir_{name}_toy_x4.py', out, steps)


@pytest.mark.parametrize('scope', walk.WRAPPED)
def test_what_inherits_from_a_toolbox(scope, out):
    """Its parts have a `_scope_`."""
    take(walk.write_wrapped(scope, out), out, ['train', 'image'])


def test_all_configs_are_walked(out):
    paths = walk.all_configs(out)
    assert len(paths) == len(set(paths)) > 180
    assert 'configs/sr4ir_segformer_mit-b0_ade20k_x4.py' in paths


def test_the_table(out):
    steps = dict.fromkeys(walk.STEPS, 'ok')
    good = dict(config='a/good.py', steps=steps, seconds=1.4)
    oracle = dict(steps, array='not: an oracle knows no LR')
    bad = dict(config='a/bad.py', steps=dict(train='a b'), seconds=2)
    results = {
        'a/good.py': good,
        'a/oracle.py': dict(good, steps=oracle),
        'a/bad.py': bad,
    }
    assert [*map(walk.is_good, results.values())] == [True, True, False]
    walk.write_table(results, str(out / 'table.md'))
    *_, first, second, third = (out / 'table.md').read_text().splitlines()
    assert first == f'| good | {"ok | " * 9}1 |'
    assert second.count(' - ') == 1 and 'FAILED' not in second
    assert third.count('FAILED') == 9
