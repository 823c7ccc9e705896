import pytest
import torch
from tiny import build_model, make_batch
from torchvision.transforms.v2.functional import gaussian_blur

from sr4ir_mm.models.degradations import (
    JPEG,
    Bicubic,
    GaussianBlur,
    GaussianNoise,
    build_degradation,
    quantize,
)


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


def test_gaussian_blur_is_torchvisions():
    image = torch.rand(2, 3, 40, 50)
    blurred = GaussianBlur(std=5).degrade(image)
    torch.testing.assert_close(blurred, gaussian_blur(image, [31, 31], [5, 5]))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(GaussianBlur(std=5).degrade(image), blurred)


def test_gaussian_blur_needs_room():
    with pytest.raises(ValueError, match=r'std=15 .* 45 pixels .* 64x45'):
        GaussianBlur(std=15)(torch.rand(1, 3, 45, 64))


def test_gaussian_noise_has_its_std_in_8_bit_levels():
    gray = torch.full((2, 3, 100, 100), 0.5)
    noise = GaussianNoise(std=10)(gray) - gray
    assert abs(noise.std() * 255 - 10) < 0.2


def test_noise_is_new_in_training_and_fixed_per_image_in_evaluation():
    step = GaussianNoise(std=10)
    images = torch.rand(3, 3, 16, 16)
    assert not torch.equal(step(images), step(images))
    step.eval()
    rng = torch.get_rng_state()
    batch = step(images)
    assert torch.equal(batch[2:], step(images[2:]))
    assert torch.equal(batch.flip(0), step(images.flip(0)))
    assert torch.equal(torch.get_rng_state(), rng)
    other = GaussianNoise(std=10, seed=1).eval()
    assert not torch.equal(batch, other(images))


def test_grey_noise_is_the_same_in_all_channels():
    image = torch.full((2, 3, 50, 50), 0.5)
    step = GaussianNoise(std=10, grey=True)
    for training in (True, False):
        noise = step.train(training).degrade(image) - image
        assert torch.equal(noise[:, 0], noise[:, 2])
        assert abs(noise[:, 0].std() * 255 - 10) < 0.5


def test_jpeg_loses_more_at_a_lower_quality():
    row, col = torch.meshgrid(
        torch.arange(32), torch.arange(40), indexing='ij'
    )
    image = torch.stack([row / 31, col / 39, (row + col) % 8 / 7])[None]
    errors = [
        (JPEG(quality=q)(image) - image).abs().mean() for q in (95, 75, 10)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 0.2
    # luma survives, and red is still red
    assert (JPEG(quality=95)(image)[:, 0] - image[:, 0]).abs().mean() < 0.1


def test_jpeg_quality():
    with pytest.raises(ValueError, match=r'JPEG\.quality=0: expected 1 to 10'):
        JPEG(quality=0)


STEPS = [
    dict(type='sr4ir_mm.GaussianBlur', std=2),
    dict(type='sr4ir_mm.Bicubic'),
    dict(type='sr4ir_mm.GaussianNoise', std=20),
]


def test_chain_rounds_once_at_the_end():
    chain = build_degradation(STEPS, scale=4).eval()
    hr = torch.rand(2, 3, 32, 24)
    expected = hr
    for step in chain.steps:
        expected = step.degrade(expected)
    assert not torch.equal(expected, quantize(expected))
    assert torch.equal(chain(hr), quantize(expected))
    assert chain(hr).shape == (2, 3, 8, 6)


def test_chain_ends_with_a_jpeg_file():
    jpeg = dict(type='sr4ir_mm.JPEG', quality=75)
    hr = torch.rand(2, 3, 32, 32)
    before = build_degradation(STEPS, scale=4).eval()(hr)
    after = build_degradation([*STEPS, jpeg], scale=4).eval()(hr)
    assert torch.equal(after, JPEG(quality=75)(before))


@pytest.mark.parametrize(
    'steps', [STEPS[::2], [STEPS[1], STEPS[1]], STEPS[0], STEPS[2]]
)
def test_exactly_one_step_must_downsample(steps):
    with pytest.raises(ValueError, match=r'model\.degradation .*1/4 of the'):
        build_degradation(steps, scale=4)(torch.rand(1, 3, 32, 32))


def test_model_takes_a_list():
    model = build_model(degradation=STEPS).eval()
    views = model.make_views(make_batch())
    assert torch.equal(views['lr'], model.degradation(views['hr']))
    assert isinstance(model.degradation.steps[1], Bicubic)
    assert not list(model.degradation.parameters())
