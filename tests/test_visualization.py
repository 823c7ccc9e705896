import pytest
from mmseg.visualization import SegLocalVisualizer
from tiny import build_model, make_batch

from sr4ir_mm.visualization import draw_panel


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
