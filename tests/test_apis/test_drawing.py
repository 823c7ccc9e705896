"""Drawings of predictions, pixel by pixel."""

import numpy as np
import pytest

from sr4ir_mm.apis.drawing import draw_result

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
    ],
)
def test_classes(found):
    drawn = draw(found)
    assert drawn[:8].max() > 200  # white words
    assert not drawn[16:].any()
    assert not draw(dict(pred_label=[], pred_score=[])).any()


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
