import pytest
import torch
from matplotlib.figure import Figure
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer
from mmseg.visualization import SegLocalVisualizer
from tiny import build_model, make_batch

from sr4ir_mm import drawing
from sr4ir_mm.visualization import (
    add_legend,
    draw_panel,
    draw_sample,
    make_pen,
)


@pytest.mark.parametrize(
    'options,columns',
    [
        ({}, 4),
        (dict(input_is_lr=True), 3),  # no HR
        (dict(sr_net=None, view='bilinear', phases=()), 3),  # no SR
    ],
)
def test_panel_has_a_column_for_each_picture(options, columns):
    """Of one width, and as high as two of these, titles and legend."""
    model = build_model(**options).eval()
    visualizer = SegLocalVisualizer(name='panel_of_a_test')
    visualizer.dataset_meta = dict(
        classes=tuple('abcde'), palette=[(40 * i, 0, 0) for i in range(5)]
    )
    panel, name = draw_panel(model, make_batch(), visualizer)
    assert name == '0' and panel.dtype == 'uint8' and panel.std() > 0
    assert panel.shape == (816, 360 * columns, 3)


@pytest.mark.parametrize(
    'classes, gt, text',
    [
        (('cat', 'dog'), False, 'dog: 0.98'),
        (('cat', 'dog'), True, 'cat'),
        (None, False, '1: 0.98'),
        (('cat',), False, '1: 0.98'),  # more labels than names
    ],
)
def test_classes_have_their_names_alone(classes, gt, text, monkeypatch):
    """As a prediction draws them."""
    written, write = [], drawing._write
    monkeypatch.setattr(
        drawing,
        '_write',
        lambda image, texts: written.extend(texts) or write(image, texts),
    )
    pen = make_pen(UniversalVisualizer, dict(classes=classes))
    sample = DataSample().set_gt_label(0).set_pred_label(1)
    sample.set_pred_score(torch.tensor([0.02, 0.98]))
    sample.set_field(torch.zeros(3, 24, 32), 'pred_img')
    picture = draw_sample(pen, sample, gt=gt)
    assert picture.shape[:2] == (256, 341) and picture.any()
    assert [one.words for one in written] == [text]


@pytest.mark.parametrize('name, columns', [('car', 9), ('a' * 40, 3)])
def test_legend_is_as_wide_as_its_figure(name, columns):
    """Long names were cut off on both sides."""
    figure = Figure(figsize=(12, 6), dpi=120, layout='constrained')
    add_legend(figure, dict(classes=[name] * 9, palette=[(0, 0, 0)] * 9))
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert legend._ncols == columns
