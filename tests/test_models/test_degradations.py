import torch

from sr4ir_mm.models.degradations import Bicubic, quantize


def test_bicubic_is_the_authors_fixed_four_taps():
    """At x8, without antialiasing, an LR pixel sees the central 4 of 8."""
    hr = torch.rand(1, 3, 16, 24)
    taps = torch.tensor([0, 0, -3.0, 19.0, 19.0, -3.0, 0, 0]) / 32
    kernel = (taps[:, None] * taps)[None, None].expand(3, 1, 8, 8)
    expected = torch.nn.functional.conv2d(hr, kernel, stride=8, groups=3)
    lr = Bicubic(scale=8)(hr)
    assert lr.shape == (1, 3, 2, 3)
    # two roundings of values that differ in the last bit
    assert (lr - quantize(expected)).abs().max() < 1.1 / 255


def test_output_has_8_bit_levels_in_range():
    lr = Bicubic(scale=4)(torch.rand(2, 3, 32, 32).round())
    assert lr.min() >= 0 and lr.max() <= 1
    torch.testing.assert_close(lr * 255, (lr * 255).round())


def test_antialias_keeps_stripes_from_aliasing():
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::2] = 1
    plain = Bicubic(scale=4)(stripes)
    smooth = Bicubic(scale=4, antialias=True)(stripes)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert (smooth[inner] - 0.5).abs().max() < 0.02
    assert not torch.equal(plain, smooth)
