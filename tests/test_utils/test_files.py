"""A disk that is full: no cut file, and an error that names it."""

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from tiny import build_model

from sr4ir_mm.apis.deployment import (
    export_onnx,
    make_deployable,
    save_weights,
)
from sr4ir_mm.apis.writer import ResultWriter
from sr4ir_mm.evaluation.metrics import DumpPredictions
from sr4ir_mm.utils.files import whole_file, write_image
from sr4ir_mm.utils.mistakes import explain

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
RESULT = dict(name='a.png', visualization=NOISE, sr=NOISE)
BOXES = dict(bboxes=NOISE.astype(float))


@contextmanager
def little_space():
    """No file may become larger than a few hundred bytes: what writes more
    fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def write_result(path, **prediction):
    kind = path.parent.name
    writer = ResultWriter(
        str(path.parent.parent), [], kind == 'vis', kind == 'sr', True
    )
    writer.write(dict(RESULT, **prediction), 'a')


def dump(path):
    metric = DumpPredictions(str(path))
    metric.results = [NOISE]
    metric.evaluate(1)


def export(path):
    images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    export_onnx(make_deployable(build_model('cls')), str(path), images)


WRITERS = {
    'vis/a.png': lambda path: write_result(path, prediction=NOISE[..., 0]),
    'sr/a.png': lambda path: write_result(path, prediction=NOISE[..., 0]),
    'pred/a.png': lambda path: write_result(path, prediction=NOISE[..., 0]),
    'pred/a.json': lambda path: write_result(path, prediction=BOXES),
    'image.png': lambda path: write_image(NOISE, str(path)),
    'out.pkl': dump,
    'model.onnx': export,
    'model.safetensors': lambda p: save_weights(build_model('cls'), str(p)),
}


@pytest.mark.parametrize('name', WRITERS)
@pytest.mark.parametrize('old', [b'', b'what was there before'])
def test_a_full_disk(tmp_path, name, old):
    if name.endswith(('onnx', 'safetensors')):
        pytest.importorskip(name.split('.')[1])
    path = tmp_path / name
    if old:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(old)
    with little_space(), pytest.raises(OSError) as error:
        WRITERS[name](path)
    assert explain(error.value).startswith(f'{path} could not be written: ')
    assert [p.name for p in path.parent.iterdir()] == [path.name] * bool(old)
    assert not old or path.read_bytes() == old
    WRITERS[name](path)  # where there is space
    assert path.stat().st_size > 500
    assert len(list(path.parent.iterdir())) == 1


def test_other_errors_leave_nothing_either(tmp_path):
    path = tmp_path / 'a' / 'b'
    with pytest.raises(KeyError), whole_file(str(path)) as part:
        with open(part, 'w') as file:
            file.write('half')
        raise KeyError
    assert not list(path.parent.iterdir())
    (tmp_path / 'file').write_text('')
    path = str(tmp_path / 'file' / 'b')
    with pytest.raises(OSError, match=f'^{path} could not be written: '):
        with whole_file(path):
            pass


def test_what_others_write_is_named(tmp_path):
    """mmengine's logs, say: they are appended to."""
    path = str(tmp_path / 'scalars.json')
    with little_space(), pytest.raises(OSError) as error:
        with open(path, 'a') as file:
            json.dump([0.5] * 10000, file)
    assert explain(error.value) == f'{path}: File too large'
    with little_space(), pytest.raises(OSError) as error:
        mmengine.dump([0.5] * 10000, path)
    assert explain(error.value) == f'{path}: File too large'


def test_a_name_may_be_as_long_as_the_file_system_has_it(tmp_path):
    path = str(tmp_path / ('ж' * 125 + '.json'))
    with whole_file(path) as part:
        Path(part).write_text('whole')
    assert part.endswith('.json') and Path(path).read_text() == 'whole'
