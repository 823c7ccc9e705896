"""Images of other bands than RGB of 8 bits."""

import copy

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from tiny import SR_NET, SWINIR, build_model, make_batch, plain

from sr4ir_mm.evaluation import SRLPIPS, SRPSNR
from sr4ir_mm.models import Bicubic
from sr4ir_mm.models.degradations import build_degradation
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.bands import PICTURES, read_bands
from sr4ir_mm.visualization import to_uint8


@pytest.mark.parametrize(
    'cfg,low,high,whole',
    [
        (dict(number=2, range=4095), (0, 0), (4095, 4095), True),
        (dict(number=1, range=(-1024, 3071)), (-1024,), (3071,), True),
        (dict(number=1, range=(0.0, 1.0)), (0.0,), (1.0,), False),
        (
            dict(number=3, range=[255, (0, 10), (-5, 5)]),
            (0, 0, -5),
            (255, 10, 5),
            True,
        ),
    ],
)
def test_what_a_config_says(cfg, low, high, whole):
    bands = read_bands(cfg)
    assert (bands.low, bands.high, bands.whole) == (low, high, whole)
    file = torch.tensor(low).view(-1, 1, 1) + torch.rand(
        len(low), 4, 5, dtype=torch.float64
    ) * torch.tensor([h - b for h, b in zip(high, low)]).view(-1, 1, 1)
    unit = bands.to_unit(file)
    assert 0 <= unit.min() and unit.max() <= 1
    torch.testing.assert_close(bands.from_unit(unit), file)
    rounded = bands.from_unit(bands.quantize(unit))
    expected = file.round() if whole else file
    torch.testing.assert_close(rounded, expected)


@pytest.mark.parametrize(
    'cfg,message',
    [
        (dict(number=0), 'number 1 or more'),
        (dict(bits=16), r'expected dict\(number=, rgb=, range=\)'),
        (dict(number=4, rgb=(4, 2, 1)), 'rgb.*three bands of 0 to 3'),
        (dict(number=4, rgb=(0, 1)), 'expected three bands'),
        (dict(number=2, range=(1, 1)), r'range=\(1, 1\)'),
        (dict(number=2, range=[1, 2, 3]), 'a list of 2 of these'),
    ],
)
def test_what_no_config_says(cfg, message):
    with pytest.raises(ValueError, match=f'model.bands.*{message}'):
        read_bands(cfg)


@pytest.mark.parametrize('number', [1, 4, 12])
@pytest.mark.parametrize('task', ['seg', 'det', 'cls'])
def test_every_task_trains_and_predicts(task, number):
    cfg = dict(number=number, range=65535)
    model = build_model(task, bands=cfg, task_model=plain(task))
    bands = model.bands
    views = model.make_views(make_batch(task, bands=bands))
    assert views['hr'].shape == (2, number, 32, 32)
    assert views['lr'].shape == (2, number, 8, 8)
    # of 16 bits, not of 8
    lr = views['lr'].double() * 65535
    assert (lr - lr.round()).abs().max() < 0.01
    assert ((lr / 257) - (lr / 257).round()).abs().max() > 0.1
    before = copy.deepcopy(model.state_dict())
    for phase in model.phases:
        with model.in_phase(phase, views):
            losses = [loss(model, views) for loss in phase.losses]
            total = sum(v.sum() for d in losses for v in _tensors(d))
            total.backward()
    with torch.no_grad():
        (sample, _) = model.eval().predict(views.fresh(), 'sr')
    assert sample.pred_img.shape == (number, 32, 32)
    assert sample.bands == bands
    assert to_uint8(sample.pred_img, bands).shape == (32, 32, 3)
    # its own checkpoint fits as it is
    other = build_model(task, 1, bands=cfg, task_model=plain(task))
    load_state_dict(other, before, strict=True)
    assert all(torch.equal(v, before[k]) for k, v in _state(other))


def _tensors(losses):
    for name, value in losses.items():
        if 'loss' in name:
            yield from value if isinstance(value, list) else [value]


def _state(model):
    return model.state_dict().items()


def test_the_map_is_two_way_for_ranges_of_bands():
    cfg = dict(number=4, range=[255, (-10, 10), (0.0, 1.0), 65535])
    model = build_model(bands=cfg, task_model=plain('seg'))
    space = model.image_space
    image = torch.rand(2, 4, 8, 8)
    inputs = space.normalize(image)
    # .45 and .225 of the range
    torch.testing.assert_close(inputs, (image - 0.45) / 0.225)
    back = space.to_image(inputs, [(8, 8)] * 2, 1)
    torch.testing.assert_close(back, image)


def test_eight_bits_stay_what_they_were():
    """RGB by `bands` is RGB without."""
    values = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(PICTURES.to_unit(values), values / 255)
    image = torch.rand(1, 3, 50, 50) * 1.4 - 0.2
    expected = image.mul(255).round().clamp(0, 255).div(255)
    assert torch.equal(PICTURES.quantize(image), expected)


@pytest.mark.parametrize('network', [SR_NET, SWINIR])
@pytest.mark.parametrize('number', [1, 4, 7])
def test_rgb_weights_of_an_sr_network_fit_bands(network, number):
    rgb = (0, 0, 0) if number == 1 else (2, 1, 0)
    bands = read_bands(dict(number=number, rgb=rgb))
    net = build_model(sr_net=network).sr_net.eval()
    model = build_model(
        sr_net=network,
        task_model=plain('seg'),
        bands=dict(number=number, rgb=rgb),
        seed=1,
    )
    if number == 1:
        rgb = (0,)
    weights = {f'sr_net.{k}': v for k, v in _state(net)}
    load_state_dict(model, weights, strict=False)
    fitted = model.sr_net.eval()
    assert fitted.conv_first.weight.shape[1] == number
    given = net.conv_first.weight
    if number == 1:
        torch.testing.assert_close(
            fitted.conv_first.weight[:, 0], given.sum(1)
        )
    else:
        for color, band in enumerate(bands.rgb):
            torch.testing.assert_close(
                fitted.conv_first.weight[:, band],
                given[:, color] * 3 / number,
            )
    # body as it was, and outputs of the colours' weights
    torch.testing.assert_close(
        fitted.conv_after_body.weight, net.conv_after_body.weight
    )
    last = 'conv_last' if network is SR_NET else 'upsample.0'
    own = fitted.get_submodule(last).weight.unflatten(0, (number, -1))
    theirs = net.get_submodule(last).weight.unflatten(0, (3, -1))
    if number == 1:
        torch.testing.assert_close(own[0], theirs.mean(0))
    else:
        for color, band in enumerate(bands.rgb):
            torch.testing.assert_close(own[band], theirs[color])


def test_rgb_weights_of_a_backbone_fit_bands(tmp_path, capfd):
    """As `init_cfg` loads them; equal bands look like grey."""
    rgb = build_model('cls').task_model.backbone
    rgb.eval()
    torch.save(rgb.state_dict(), tmp_path / 'rgb.pth')
    cfg = plain('cls')
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'rgb.pth')
    )
    model = build_model('cls', bands=dict(number=6), task_model=cfg, seed=3)
    parameter = model.task_model.backbone.conv1.weight
    model.init_weights()
    backbone = model.task_model.backbone
    backbone.eval()
    assert backbone.conv1.weight is parameter  # which optimizers know
    grey = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        (expected,) = rgb(grey.expand(1, 3, 32, 32))
        (found,) = backbone(grey.expand(1, 6, 32, 32))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'wrong,message',
    [
        (dict(bgr_to_rgb=True), 'swaps channels .*set it to False'),
        (
            dict(mean=[1.0] * 3, std=[1.0] * 4),
            r'data_preprocessor\.mean is of 3 bands, .*number=4',
        ),
    ],
)
def test_preprocessors_for_other_bands(wrong, message):
    with pytest.raises(ValueError, match=message):
        build_model(bands=dict(number=4), task_model=plain('seg', **wrong))


def test_networks_for_other_bands():
    with pytest.raises(ValueError, match='sr_net.in_channels=5: .*of 4'):
        build_model(
            bands=dict(number=4),
            sr_net=dict(SR_NET, in_channels=5),
            task_model=plain('seg'),
        )
    cfg = plain('cls')
    cfg['backbone'].update(in_channels=5)
    with pytest.raises(ValueError, match='conv1, takes 5 channels'):
        build_model('cls', bands=dict(number=4), task_model=cfg)


def test_images_of_other_bands_than_the_config_says():
    model = build_model(bands=dict(number=4), task_model=plain('seg'))
    with pytest.raises(ValueError, match='have 4 channels.*number=3'):
        build_model().image_space.to_image(torch.rand(1, 4, 8, 8), [(8, 8)], 1)
    with pytest.raises((ValueError, RuntimeError)):
        Views(model, torch.rand(1, 3, 32, 32))['hr']


def test_degradations_of_bands():
    bands = read_bands(dict(number=5, range=(0.0, 1.0)))
    hr = torch.rand(2, 5, 16, 16)
    noisy = [
        dict(type='sr4ir_mm.GaussianBlur', std=1.0),
        dict(type='sr4ir_mm.Bicubic'),
        dict(type='sr4ir_mm.GaussianNoise', std=5, grey=True),
        dict(type='sr4ir_mm.PoissonNoise', strength=1.0, grey=True),
    ]
    lr = build_degradation(noisy, 4, bands).eval()(hr)
    assert lr.shape == (2, 5, 4, 4) and lr.isfinite().all()
    # floating-point numbers are not rounded
    bicubic = build_degradation(dict(type='sr4ir_mm.Bicubic'), 4, bands)(hr)
    levels = bicubic.double() * 65535
    assert ((levels - levels.round()).abs() > 0.01).any()
    assert not torch.equal(bicubic, Bicubic(scale=4)(hr))
    with pytest.raises(ValueError, match='JPEG compresses RGB of 8 bits'):
        build_degradation([dict(type='sr4ir_mm.JPEG', quality=50)], 1, bands)


def test_metrics_of_bands():
    bands = read_bands(dict(number=4, rgb=(3, 1, 0), range=65535))
    hr = torch.rand(4, 40, 40)
    sr = hr.clone()
    sr[2] += 0.001  # what nobody looks at; below a level of 8 bits
    sample = dict(pred_img=sr, gt_img=hr, bands=bands)
    metric = SRPSNR(crop_border=0)
    metric.process({}, [sample])
    psnr = metric.compute_metrics(metric.results)['PSNR']
    assert psnr == pytest.approx(66.02, abs=0.05)  # 60 dB, of a band in four
    lpips = SRLPIPS.__new__(SRLPIPS)
    lpips.crop_border, lpips.quantize = 0, True
    looked, gt = lpips._images(sample, 'pred_img')
    assert torch.equal(looked, gt) and looked.shape == (3, 40, 40)
    torch.testing.assert_close(gt, hr[[3, 1, 0]], atol=1e-4, rtol=0)


def test_pictures_to_look_at():
    bands = read_bands(dict(number=4, rgb=(3, 3, 0)))
    image = torch.rand(4, 6, 7)
    expected = image[[3, 3, 0]].mul(255).round().byte().numpy()
    assert np.array_equal(to_uint8(image, bands), expected.transpose(1, 2, 0))
