"""The page itself needs gradio, which is an extra."""

import importlib.util
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from fake_data import write_raster
from tiny import TASKS, plain

from sr4ir_mm.apis import SRInferencer


@pytest.mark.parametrize('task', TASKS)
def test_what_the_page_shows(
    task, write_checkpoint, make_image, load_script, tmp_path
):
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, make_image())
    inferencer = SRInferencer(
        weights=write_checkpoint(task), show_progress=False
    )
    lr, sr, drawing, words = load_script('demo_app').predict(
        inferencer, path, hr=False, threshold=0.0
    )
    assert lr.shape == (20, 28, 3) and sr.shape == (80, 112, 3)
    assert drawing.shape[1] > 3 * drawing.shape[0] and words
    if task == 'det':
        assert len(words) == 5  # as many as the detector gives
    else:
        assert sum(words.values()) == pytest.approx(1, abs=1e-4)


def test_a_raster(write_checkpoint, load_script, tmp_path):
    """Its bands are red, green and blue to look at."""
    pytest.importorskip('rasterio')
    values = np.full((20, 28, 4), 2000, np.uint16)
    values[..., 3] = 4095
    path = write_raster(tmp_path / 'a.tif', values)
    inferencer = SRInferencer(
        weights=write_checkpoint(
            'seg',
            task_model=plain('seg'),
            bands=dict(number=4, rgb=(3, 2, 1), range=4095),
        ),
        show_progress=False,
    )
    answer = load_script('demo_app').answer
    lr, sr, _, words = answer(inferencer, path, False, 0.3, 1e5)
    assert sr.shape == (80, 112, 3) and sum(words.values()) > 0.99
    assert lr.reshape(-1, 3).mean(0).round().tolist() == [255, 125, 125]
    with pytest.raises(ValueError, match='would have 0.0 million pixels'):
        answer(inferencer, path, False, 0.3, 1e3)


def test_gradio_is_an_extra(write_checkpoint, run_script, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        'sr4ir_mm.registry.find_spec',
        lambda name: None if name == 'gradio' else find(name),
    )
    code, text = run_script('demo_app', write_checkpoint('cls'))
    assert code == 2 and 'demo_app.py needs gradio' in text, text


def test_page(write_checkpoint, load_script):
    pytest.importorskip('gradio', reason="gradio: pip install '.[demo]'")
    inferencer = SRInferencer(
        weights=write_checkpoint('cls'), show_progress=False
    )
    page = load_script('demo_app').build_page(dict(tiny=inferencer), 4e6)
    (image,) = (
        block
        for block in page.blocks.values()
        if getattr(block, 'label', '') == 'image'
    )
    assert image.preprocess(SimpleNamespace(path='a.txt')) == 'a.txt'
    assert image.preprocess(None) is None
    kinds = {type(block).__name__ for block in page.blocks.values()}
    assert {'Image', 'Label', 'Radio', 'Slider', 'Button'} <= kinds


def header_of(path, width, height):
    """A PNG that says how large it is, and has no pixels."""
    size = struct.pack('>II5B', width, height, 8, 2, 0, 0, 0)
    chunk = b'IHDR' + size
    check = struct.pack('>I', zlib.crc32(chunk))
    start = b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13)
    path.write_bytes(start + chunk + check + bytes([0, 0, 9, 0]) + b'IDAT')


UPLOADS = {
    'notes.txt': (b'no image', 'no image that the page can read'),
    'empty.png': (b'', 'no image that the page can read'),
    'sky.hdr': (b'#?RADIANCE\n', 'no image that the page can read'),
    'large.png': ((12000, 12000), 'would have 2304.0 million pixels'),
    'huge.png': ((20000, 20000), r'\d+ pixels'),
    'cut.png': ((64, 64), 'cannot be read'),
}


@pytest.mark.parametrize('name', UPLOADS)
def test_uploads_that_are_refused(
    name, write_checkpoint, load_script, tmp_path
):
    """By their header alone, whatever their size."""
    content, reason = UPLOADS[name]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        header_of(path, *content)
    inferencer = SRInferencer(
        weights=write_checkpoint('cls'), show_progress=False
    )
    app = load_script('demo_app')
    with pytest.raises(ValueError, match=reason):
        app.answer(inferencer, str(path), False, 0.3, max_pixels=4e6)
