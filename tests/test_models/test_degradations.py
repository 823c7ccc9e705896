import io
import math
from collections import Counter
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
import torch
from mmagic.datasets.transforms import blur_kernels as theirs
from mmengine.config import Config
from PIL import Image
from scipy import stats
from tiny import build_model, make_batch
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from sr4ir_mm.models import degradations
from sr4ir_mm.models.blur_kernels import (
    gaussian_kernel,
    plateau_kernel,
    quadratic_form,
    sinc_kernel,
)
from sr4ir_mm.models.degradations import (
    JPEG,
    Bicubic,
    GaussianBlur,
    GaussianNoise,
    PoissonNoise,
    RandomBlur,
    RandomChoice,
    Resize,
    build_degradation,
    filter_image,
)
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.bands import PICTURES


def to_batch(image):
    """(h, w, 3) -> (1, 3, h, w)"""
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def test_bicubic_is_the_authors_fixed_four_taps():
    """At x8, without antialiasing, an LR pixel sees the central 4 of 8."""
    hr = torch.rand(1, 3, 16, 24)
    taps = torch.tensor([0, 0, -3.0, 19.0, 19.0, -3.0, 0, 0]) / 32
    kernel = (taps[:, None] * taps)[None, None].expand(3, 1, 8, 8)
    expected = torch.nn.functional.conv2d(hr, kernel, stride=8, groups=3)
    lr = Bicubic(scale=8)(hr)
    assert lr.shape == (1, 3, 2, 3)
    # two roundings of values that differ in the last bit
    assert (lr - PICTURES.quantize(expected)).abs().max() < 1.1 / 255


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
    image = torch.rand(1, 3, 40, 50)
    blurred = GaussianBlur(std=5).degrade(image)
    torch.testing.assert_close(blurred, gaussian_blur(image, [31, 31], [5, 5]))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(GaussianBlur(std=5).degrade(image), blurred)


@pytest.mark.parametrize('kernel', [(7, 7), (21, 21), (1, 1)])
@pytest.mark.parametrize('size', [(40, 50), (11, 300), (9, 12)])
def test_filter_is_opencvs(kernel, size):
    """Any kernel, any size, reflected borders or, where an image is too small
    for them, continued ones."""
    kernel = np.random.RandomState(0).rand(*kernel)
    kernel /= kernel.sum()
    image = np.random.RandomState(1).rand(*size, 3)
    reflects = min(size) > len(kernel) // 2
    border = cv2.BORDER_REFLECT_101 if reflects else cv2.BORDER_REPLICATE
    expected = cv2.filter2D(image, -1, kernel, borderType=border)
    ours = filter_image(to_batch(image), torch.from_numpy(kernel))
    torch.testing.assert_close(ours, to_batch(expected))


@pytest.mark.parametrize(
    'size,std,angle',
    [(7, (0.3, 0.3), 0), (21, (3.0, 1.1), -2.5), (13, (0.7, 2.0), 0.7)],
)
@pytest.mark.parametrize('beta', [0.5, 1.0, 1.7, 4.0])
def test_kernels_are_mmagics(size, std, angle, beta):
    """Written by others, in NumPy."""
    distance = quadratic_form(size, std, angle)
    where = dict(
        **dict(kernel_size=size, sig_x=std[0], sig_y=std[1]),
        **dict(theta=angle, is_isotropic=std[0] == std[1]),
    )
    expected = theirs.bivariate_generalized_gaussian(beta=beta, **where)
    same(gaussian_kernel(distance, beta), expected)
    if beta == 1:
        same(gaussian_kernel(distance), theirs.bivariate_gaussian(**where))
    expected = theirs.bivariate_plateau(beta=beta, **where)
    same(plateau_kernel(distance, beta), expected)


@pytest.mark.parametrize('size,cutoff', [(7, 1.2), (21, 3.0), (13, math.pi)])
def test_sinc_kernel_is_mmagics(size, cutoff):
    """By SciPy's Bessel function."""
    expected = theirs.random_circular_lowpass_kernel([cutoff] * 2, size)
    same(sinc_kernel(size, cutoff), expected)


def same(ours, expected):
    torch.testing.assert_close(ours, torch.from_numpy(expected))


KINDS = dict(zip(RandomBlur.KINDS, (0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1)))


def test_kernels_are_drawn_as_often_as_they_should(monkeypatch):
    step = RandomBlur(kernels=KINDS, size=(7, 21))
    drawn, sizes = Counter(), Counter()
    for name in ('gaussian_kernel', 'plateau_kernel', 'sinc_kernel'):
        function = getattr(degradations, name)

        def note(*args, name=name, function=function):
            drawn[name, len(args)] += 1
            return function(*args)

        monkeypatch.setattr(degradations, name, note)
    torch.manual_seed(0)
    for _ in range(1000):
        kernel = step.draw_kernel()
        sizes[len(kernel)] += 1
        assert kernel.shape == (len(kernel),) * 2
        assert kernel.sum().item() == pytest.approx(1)
        torch.testing.assert_close(kernel, kernel.flip(0, 1))
    expected = {
        ('gaussian_kernel', 1): 500,
        ('gaussian_kernel', 2): 200,  # with an exponent
        ('plateau_kernel', 2): 200,
        ('sinc_kernel', 2): 100,
    }
    found = [drawn[key] for key in expected]
    assert stats.chisquare(found, [*expected.values()]).pvalue > 0.01
    assert sorted(sizes) == [7, 9, 11, 13, 15, 17, 19, 21]
    assert stats.chisquare([*sizes.values()]).pvalue > 0.01


CV2 = dict(
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    nearest=cv2.INTER_NEAREST,
)


@pytest.mark.parametrize('mode', CV2)
@pytest.mark.parametrize('options', [dict(down=4), dict(factor=0.25)])
def test_resize_is_opencvs(mode, options):
    image = np.random.RandomState(0).rand(40, 56, 3)
    expected = cv2.resize(image, (14, 10), interpolation=CV2[mode])
    ours = Resize(modes=[mode], **options).degrade(to_batch(image))
    torch.testing.assert_close(ours, to_batch(expected))


def test_resize_is_of_hrs_size():
    """Not of what the steps before have left of it."""
    steps = [
        dict(type='sr4ir_mm.Resize', factor=(0.15, 1)),
        dict(type='sr4ir_mm.Resize', down=(1, 16)),
        dict(type='sr4ir_mm.Resize', modes=['bilinear']),
    ]
    for scale in (1, 4):
        chain = build_degradation(steps, scale=scale)
        seen = [[], []]
        for step, sizes in zip(chain.steps, seen):
            step.register_forward_hook(lambda *_: None)
            step.degrade = partial(note_size, step.degrade, sizes)
        for _ in range(300):
            assert chain(torch.rand(1, 3, 80, 160)).shape == (
                *(1, 3, 80 // scale, 160 // scale),
            )
        factors, downs = (160 / np.array(sizes) for sizes in seen)
        assert (
            stats.kstest(1 / factors, stats.uniform(0.15, 0.85).cdf)[1] > 0.01
        )
        # whole pixels: not exactly even
        assert stats.kstest(downs, stats.uniform(1, 15).cdf).statistic < 0.15


def note_size(degrade, sizes, image):
    image = degrade(image)
    sizes.append(image.shape[3])
    return image


def test_gaussian_noise_has_its_std_in_8_bit_levels():
    gray = torch.full((2, 3, 100, 100), 0.5)
    noise = GaussianNoise(std=10)(gray) - gray
    assert abs(noise.std() * 255 - 10) < 0.2


def test_gaussian_noise_is_scipys():
    grey = torch.full((1, 3, 200, 200), 0.5)
    noise = (GaussianNoise(std=20).degrade(grey) - grey) * 255
    assert stats.kstest(noise.flatten(), stats.norm(scale=20).cdf)[1] > 0.01


@pytest.mark.parametrize('strength', [1.0, 0.3])
def test_poisson_noise_is_scipys(strength):
    """Of 5 levels, so that a level is of 8 counts."""
    levels = [0.2, 0.4, 0.5, 0.7, 0.8]
    image = torch.tensor(levels)[:, None].expand(5, 4000)
    image = PICTURES.quantize(image).expand(1, 3, 5, 4000)
    noisy = PoissonNoise(strength=strength).degrade(image)
    inside = (noisy > 0) & (noisy < 1)  # brighter than white is white
    counts = ((noisy - image) / strength + image) * 8
    whole = counts.round()
    torch.testing.assert_close(
        counts[inside], whole[inside], rtol=0, atol=1e-3
    )
    for row, level in zip(whole[0, 0, :2], image[0, 0, :2, 0].tolist()):
        number = np.bincount(row.int(), minlength=8)[:7]
        expected = stats.poisson(level * 8).pmf(np.arange(7)) * 4000
        assert abs(number - expected).max() < 4 * 31  # 4 sqrt(4000 / 4)


@pytest.mark.parametrize('quality', [5, 30, 75, 95, 100])
def test_jpeg_is_pillows(quality):
    levels = cv2.resize(
        np.random.RandomState(0).randint(0, 256, (9, 12, 3), np.uint8),
        (70, 51),
    )
    file = io.BytesIO()
    Image.fromarray(levels).save(file, 'JPEG', quality=quality)
    expected = np.asarray(Image.open(file))
    ours = JPEG(quality=quality)(to_batch(levels).float() / 255)
    assert abs(to_batch(expected) - ours * 255).max() < 1e-3


def test_choices_are_drawn_as_often_as_they_should():
    choices = [
        dict(type='sr4ir_mm.GaussianNoise', std=9),
        [],
        [dict(type='sr4ir_mm.GaussianNoise', std=1)] * 2,
    ]
    step = RandomChoice(choices, prob=[0.5, 0.2, 0.3])
    torch.manual_seed(0)
    image = torch.full((1, 3, 20, 20), 0.5)
    stds = [step(image).std().item() * 255 for _ in range(500)]
    found = np.histogram(stds, [0, 0.4, 4, 40])[0]
    assert stats.chisquare(found, [100, 150, 250]).pvalue > 0.01


def chain_of(name, scale):
    cfg = Config.fromfile(f'configs/_base_/degradations/{name}.py')
    return build_degradation(cfg.degradation, scale)


NAMED = ['mixture_a', 'mixture_b', 'real_esrgan']


@pytest.mark.parametrize('name', NAMED)
@pytest.mark.parametrize('scale', [1, 2, 8])
@pytest.mark.parametrize('size', [(8, 8), (32, 24), (120, 160)])
def test_named_chains(name, scale, size):
    """Of any scale, and of images as small as digits."""
    chain, hr = chain_of(name, scale), smooth(2, size)
    for training in (True, False):
        lr = chain.train(training)(hr)
        assert lr.shape == (2, 3, size[0] // scale, size[1] // scale)
        torch.testing.assert_close(lr * 255, (lr * 255).round())
        assert 0 <= lr.min() and lr.max() <= 1
        if name != 'mixture_a' and scale < 8:
            assert torch.equal(chain(hr), lr) != training


def test_mixture_a_is_eight_times_smaller_and_jpeg():
    """By OpenCV and Pillow."""
    hr = smooth(1, (96, 160))
    image = hr[0].permute(1, 2, 0).numpy()
    small = cv2.resize(image, (20, 12), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    levels = (small * 255).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(levels).save(file, 'JPEG', quality=75)
    expected = np.asarray(Image.open(file))
    assert (
        abs(chain_of('mixture_a', 8)(hr) * 255 - to_batch(expected)).max() < 1
    )
    back = cv2.resize(
        expected.astype(np.float32), (160, 96), interpolation=cv2.INTER_CUBIC
    )
    ours = chain_of('mixture_a', 1)(hr) * 255
    assert abs(ours - to_batch(back.round().clip(0, 255))).max() <= 1


def smooth(number, size):
    torch.manual_seed(0)
    return F.interpolate(
        torch.rand(number, 3, 5, 6), size, mode='bicubic'
    ).clamp(0, 1)


def lr_of(args):
    """Of some images of a batch, by a process of its own."""
    name, images, threads = args
    torch.set_num_threads(threads)
    return views_of(name, images)['lr'].numpy()


def views_of(name, images):
    model = build_model('det', scale=2, degradation=[]).eval()
    model.degradation = chain_of(name, 2).eval()
    batch = make_batch('det', num=len(images))
    batch['inputs'] = [image.mul(255).round().byte() for image in images]
    return Views(model, **model.data_preprocessor(batch, False))


@pytest.mark.parametrize('name', NAMED)
def test_test_images_are_degraded_by_themselves(name):
    """Byte for byte, whatever the batch, the order, the processes and their
    threads."""
    sizes = [(40, 64), (44, 60), (64, 40), (30, 20)]
    images = [smooth(1, size)[0] for size in sizes]
    views = views_of(name, images)
    rng = torch.get_rng_state()
    batch = views['lr']
    assert torch.equal(torch.get_rng_state(), rng)
    tasks = [
        (name, images[2:], 1),
        (name, images[:2], 2),
        *((name, [image], 1) for image in images),
    ]
    with get_context('fork').Pool(2) as pool:
        last, first, *single = pool.map(lr_of, tasks)
    order = [2, 3, 0, 1, 0, 1, 2, 3]
    found = [*last, *first, *(lr[0] for lr in single)]
    for index, lr in zip(order, found):
        height, width = (side // 2 for side in sizes[index])
        expected = batch[index, :, :height, :width]
        assert np.array_equal(lr[:, :height, :width], expected), index


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
    for step, std in [
        (GaussianNoise(std=10, grey=True), 10),
        # an image of one level: counts of .5
        (PoissonNoise(strength=0.05, grey=True), 0.05 * 255 * 0.5**0.5),
    ]:
        for training in (True, False):
            noise = step.train(training).degrade(image) - image
            assert torch.equal(noise[:, 0], noise[:, 2])
            assert abs(noise[:, 0].std() * 255 / std - 1) < 0.1


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


ISO = dict(iso=1)


@pytest.mark.parametrize(
    'kind,options,reason',
    [
        ('JPEG', dict(quality=0), r'JPEG\.quality=0: .* of 1 to 10'),
        ('JPEG', dict(quality=(50, 101)), r'quality=\(50, 101\)'),
        ('JPEG', dict(quality=None), 'quality=None: expected a number'),
        ('JPEG', dict(quality=(50,)), 'quality=.*low, high'),
        ('Resize', dict(down=0), 'Resize.down=0'),
        ('Resize', dict(factor=(0.5, 0.2)), 'Resize.factor'),
        ('Resize', dict(down=2, factor=0.5), 'say one'),
        ('Resize', dict(modes='bicubic'), 'Resize.modes'),
        ('GaussianBlur', dict(std='3'), "GaussianBlur.std='3'"),
        ('GaussianBlur', dict(std=float('nan')), 'GaussianBlur.std=nan'),
        ('GaussianNoise', dict(std=1, train_std=-1), 'Noise.train_std=-1'),
        ('GaussianNoise', dict(std=1, grey=2), 'grey=2: .* 0 to 1'),
        ('PoissonNoise', dict(strength=1, grey='no'), "grey='no'"),
        ('RandomBlur', dict(kernels=['iso']), r"kernels=\['iso'\]"),
        ('RandomBlur', dict(kernels=dict(cubic=1)), 'aniso.*sinc'),
        ('RandomBlur', dict(kernels=ISO, size=(7, 20)), 'odd whole'),
        ('RandomBlur', dict(kernels=ISO, size=(7.0, 9.0)), 'odd whole'),
        ('RandomBlur', dict(kernels=dict(iso=-1)), 'of 0 or more'),
        ('RandomChoice', dict(choices=[]), 'prob'),
        ('RandomChoice', dict(choices=[[], []], prob=[1]), 'expected 2'),
        ('RandomChoice', dict(choices=dict(type='x')), 'expected a list'),
        ('JPEG', dict(quality=9, seed=1), 'DegradationChain.*seed'),
    ],
)
def test_settings_that_cannot_be(kind, options, reason):
    with pytest.raises(ValueError, match=reason):
        build_degradation([dict(type=f'sr4ir_mm.{kind}', **options)], 4)


STEPS = [
    dict(type='sr4ir_mm.GaussianBlur', std=2),
    dict(type='sr4ir_mm.Bicubic'),
    dict(type='sr4ir_mm.GaussianNoise', std=20),
]


def test_chain_rounds_once_at_the_end():
    chain = build_degradation(STEPS, scale=4)
    hr = torch.rand(1, 3, 32, 24)
    torch.manual_seed(0)
    expected = hr
    for step in chain.steps:
        expected = step.degrade(expected)
    assert not torch.equal(expected, PICTURES.quantize(expected))
    torch.manual_seed(0)
    assert torch.equal(chain(hr), PICTURES.quantize(expected))
    assert chain(hr).shape == (1, 3, 8, 6)


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


def test_what_draws_nothing_sees_the_batch():
    """Steps that do see each image alone, padding left out."""
    seen = []
    for steps, alone in [
        ([STEPS[1]], False),
        (STEPS[:2], False),
        (STEPS, False),  # noise is drawn at once in training ...
        ([dict(STEPS[0], std=(1, 2)), STEPS[1]], True),
        ([STEPS[1], dict(type='sr4ir_mm.JPEG', quality=50)], True),
    ]:
        chain = build_degradation(steps, scale=4)
        assert chain.alone == alone
        chain.steps[0].degrade = partial(note, chain.steps[0].degrade, seen)
        chain(torch.rand(3, 3, 32, 32))
        assert seen == ([(1, 3, 32, 32)] * 3 if alone else [(3, 3, 32, 32)])
        seen.clear()
    assert build_degradation(STEPS, scale=4).eval().alone  # ... not in tests


def note(degrade, seen, image):
    seen.append(tuple(image.shape))
    return degrade(image)


@pytest.mark.parametrize('std', [2, (1.9, 2.1)])
def test_beyond_its_own_size_an_image_is_bicubic(std):
    hr = torch.rand(2, 3, 32, 40)
    chain = build_degradation([dict(STEPS[0], std=std), STEPS[1]], scale=4)
    chain.eval()
    plain = Bicubic(scale=4)(hr)
    for sizes in ([(32, 40), (16, 20)], [(16, 20)] * 2):
        lr = chain(hr, sizes)
        alone = chain(hr[1:, :, :16, :20])
        assert torch.equal(lr[1:, :, :4, :5], alone)
        assert torch.equal(lr[1, :, 4:], plain[1, :, 4:])
        assert not torch.equal(lr[1, :, :4, :5], plain[1, :, :4, :5])
