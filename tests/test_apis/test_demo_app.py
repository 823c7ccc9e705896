"""The page itself needs gradio, which is an extra."""

import importlib.util

import cv2
import pytest
from tiny import TASKS

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
    assert drawing.shape[1] > 2 * drawing.shape[0] and words
    if task == 'det':
        assert len(words) == 5  # as many as the detector gives
    else:
        assert sum(words.values()) == pytest.approx(1, abs=1e-4)


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
    kinds = {type(block).__name__ for block in page.blocks.values()}
    assert {'Image', 'Label', 'Radio', 'Slider', 'Button'} <= kinds
