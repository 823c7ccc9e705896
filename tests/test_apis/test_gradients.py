"""sr4ir_mm.apis.analysis.gradients."""

import mmengine
import pytest
from tiny import SR4IR, build_model, make_batch

from sr4ir_mm.apis.analysis.gradients import Pull, measure_pull


def test_gradients_at_the_sr_image():
    model = build_model()
    rows = measure_pull(model, [make_batch()] * 3, batches=2)
    assert list(rows) == ['PixelLoss', 'TDPLoss']
    norm, ratio, cosine = rows['PixelLoss']
    # that of a mean of 2x3x32x32 absolute differences
    assert norm == pytest.approx((2 * 3 * 32 * 32) ** -0.5, rel=1e-3)
    assert (ratio, cosine) == pytest.approx((1, 1), rel=1e-3)
    assert rows['TDPLoss'].norm == pytest.approx(rows['TDPLoss'].ratio * norm)
    assert all(p.requires_grad for p in model.parameters())


def test_balanced_loss_has_its_ratio():
    phases = mmengine.ConfigDict(phases=SR4IR).to_dict()['phases']
    phases[0]['losses'][1]['balance'] = 2.0
    model = build_model(phases=phases)
    rows = measure_pull(model, [make_batch()], batches=1)
    assert rows['TDPLoss'].ratio == pytest.approx(2, rel=1e-3)


def test_without_pixel_loss():
    with pytest.raises(ValueError, match='no phase has a PixelLoss'):
        measure_pull(build_model(phases=SR4IR[1:]), [make_batch()], batches=1)


@pytest.mark.parametrize(
    'ratio,words',
    [
        (0.01, 'next to nothing'),
        (1.0, 'in balance'),
        (546.0, 'half a dB'),  # Cars, x8, in docs/en/results.md
        (3980.0, 'the image'),  # BCCD, x8
    ],
)
def test_verdict(ratio, words):
    assert words in Pull(1.0, ratio, 0.0).verdict
