"""Drawings of predictions, pixel by pixel."""

import numpy as np
import pytest

from sr4ir_mm import drawing
from sr4ir_mm.drawing import draw_labels, draw_result

BLACK = np.zeros((64, 96, 3), np.uint8)
LR = np.full((16, 24, 3), 9, np.uint8)
META = dict(classes=['road', 'Straße'], palette=[(200, 0, 0), [0, 0, 100]])


def picture(drawn, index):
    """One of the three, without its heading, at the size of the SR image."""
    width = (drawn.shape[1] - 16) // 3
    left = index * (width + 8)
    return drawn[24::4, left : left + width : 4]


def draw(prediction, **kwargs):
    drawn = draw_result(LR, BLACK, prediction, dataset_meta=META, **kwargs)
    assert drawn.shape == (24 + 256, 3 * 384 + 16, 3)
    assert drawn.dtype == np.uint8
    assert (picture(drawn, 0) == 9).all() and not picture(drawn, 1).any()
    return picture(drawn, 2)


def test_labels():
    labels = np.zeros((64, 96), np.uint8)
    labels[:, 48:] = 1
    drawn = draw(labels)
    # half of a colour at the rims; words are inside
    assert (drawn[0, 0] == (100, 0, 0)).all()
    assert (drawn[0, 95] == (0, 0, 50)).all()
    # words have the whole colour behind them
    assert (drawn == (200, 0, 0)).all(axis=2).any()
    assert (drawn == (0, 0, 100)).all(axis=2)[:, 48:].any()


def test_nothing_is_drawn_without_data():
    image = np.full((300, 300, 3), 90, np.uint8)
    labels = np.full((300, 300), 255, np.uint8)
    labels[:40] = 0
    meta = dict(classes=['sea'], palette=[[250, 0, 0]])
    drawn = draw_labels(image, labels, meta)
    assert (drawn[60:] == 90).all() and (drawn[:40] != 90).any()


def test_boxes():
    found = dict(
        bboxes=[[10, 20, 40, 50], [60, 10, 80, 30]],
        scores=[0.9, 0.2],
        labels=[1, 0],
    )
    drawn = draw(found)
    assert (drawn[50, 10:40] == (0, 0, 100)).all()  # its lower side
    assert not drawn[:, 60:].any()  # not sure enough
    assert draw(found, score_thr=0.1)[30, 60:80, 0].all()


def test_masks():
    from pycocotools.mask import encode

    mask = np.zeros((64, 96), np.uint8, order='F')
    mask[30:40, 20:30] = 1
    code = encode(mask)
    found = dict(bboxes=[[10, 20, 40, 50]], scores=[0.9], labels=[1])
    drawn = draw(
        dict(found, masks=[dict(code, counts=code['counts'].decode())])
    )
    assert (drawn[30:40, 20:30] == (0, 0, 50)).all()
    assert not drawn[41:49, 12:38].any()


@pytest.mark.parametrize(
    'found',
    [
        dict(pred_label=1, pred_score=0.75, pred_class='Straße'),
        dict(pred_label=[1], pred_score=[0.75]),
        dict(pred_label=1),  # of the ground truth
    ],
)
def test_classes(found):
    drawn = draw(found)
    assert drawn[:8].max() > 200  # white words
    assert not drawn[16:].any()
    assert not draw(dict(pred_label=[], pred_score=[])).any()


@pytest.fixture
def font_of_dogs(tmp_path, monkeypatch):
    """A system whose second font is the only one with a Chinese letter."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def square(size):
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for point in ((0, size), (size, size), (size, 0)):
            pen.lineTo(point)
        pen.closePath()
        return pen.glyph()

    (tmp_path / 'a.ttf').write_bytes(b'no font')
    font = FontBuilder(1000)
    letters = {ord(letter): f'u{ord(letter)}' for letter in '犬: .0123456789'}
    names = ['.notdef', *letters.values()]
    font.setupGlyphOrder(names)
    font.setupCharacterMap(letters)
    sizes = {**dict.fromkeys(names, 700), '.notdef': 300}
    font.setupGlyf({name: square(sizes[name]) for name in names})
    font.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable(dict(familyName='Dogs', styleName='Regular'))
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / 'b.ttf')
    monkeypatch.setattr(
        'matplotlib.font_manager.findSystemFonts',
        lambda: [str(tmp_path / name) for name in ('b.ttf', 'a.ttf')],
    )
    caches = (
        *(drawing._write_as, drawing._warn_of_boxes, drawing._font),
        drawing._font_file,
    )
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_letters_of_other_fonts(font_of_dogs, caplog):
    """A font that has them is found; a class without one is a number."""
    found = dict(pred_label=7, pred_score=0.5)
    dog, cat, seven, six = (
        draw(dict(found, pred_class=name)) for name in ('犬', '猫', '7', '6')
    )
    assert not np.array_equal(dog, seven) and dog[:8].max() > 200
    assert np.array_equal(cat, seven) and not np.array_equal(six, seven)
    for name in ('猫', '羊'):
        labels = np.zeros((64, 96), np.uint8)
        meta = dict(META, classes=[name])
        drawn = draw_result(LR, BLACK, labels, dataset_meta=meta)
        meta = dict(META, classes=['0'])
        zero = draw_result(LR, BLACK, labels, dataset_meta=meta)
        assert np.array_equal(drawn, zero)
    assert caplog.text.count('Numbers of classes are drawn') == 1


def test_without_names_and_colours():
    labels = np.arange(64 * 96).reshape(64, 96).astype(np.uint8)
    drawn = draw_result(LR, BLACK, labels)
    assert len(np.unique(picture(drawn, 2).reshape(-1, 3), axis=0)) > 200
    found = dict(bboxes=[[10, 20, 40, 50]], scores=[0.9], labels=[7])
    for meta in (None, dict(palette='random')):
        assert picture(
            draw_result(LR, BLACK, found, dataset_meta=meta), 2
        ).any()


def test_a_thin_image_does_not_get_long():
    """Some rows of 4800 pixels took 3 GB, as 256."""
    labels = np.zeros((4, 4800), np.uint8)
    sr = np.zeros((4, 4800, 3), np.uint8)
    drawn = draw_result(sr[:1, ::4], sr, labels, dataset_meta=META)
    assert drawn.shape == (24 + 4, 3 * 4800 + 16, 3)
    sr, labels = sr[:, :500], labels[:, :500]
    drawn = draw_result(sr[:1, ::4], sr, labels, dataset_meta=META)
    assert drawn.shape == (24 + 16, 3 * 2000 + 16, 3)
