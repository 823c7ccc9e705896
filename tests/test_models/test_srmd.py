"""SRMD, which is told the degradation."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tiny import make_batch

from sr4ir_mm.models import SRMD, GaussianBlur, GaussianNoise
from sr4ir_mm.models.sr_nets.srmd import gaussian_kernels
from sr4ir_mm.models.views import Views
from sr4ir_mm.registry import MODELS

SMALL = dict(mid_channels=8, num_blocks=3)


def full(*values):
    return torch.tensor(values)


def test_parameters():
    """By hand: 19 maps in; 11 convolutions with BatchNorm, and the last one.

    19*128*9 + 10 * 128*128*9 + 11 * 2*128 + 128*3s^2*9 + 3s^2
    """
    for scale in (2, 4):
        network = SRMD(upscale_factor=scale)
        expected = 21_888 + 1_474_560 + 2_816 + 3_459 * scale**2
        assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_components_hold_nearly_all_of_a_kernel(scale):
    network = SRMD(upscale_factor=scale, **SMALL)
    basis = network.components
    torch.testing.assert_close(basis @ basis.T, torch.eye(15))
    std, other = torch.rand(2, 50) * (scale - 0.5) + 0.5
    kernels = gaussian_kernels(15, std, other, torch.rand(50) * 3).flatten(1)
    torch.testing.assert_close(kernels.sum(1), torch.ones(50))
    lost = kernels - kernels @ basis.T @ basis
    assert lost.square().sum() < 0.05 * kernels.square().sum()


def test_kernels_are_the_blur():
    std = full(1.3)
    image = torch.zeros(1, 1, 15, 15)
    image[..., 7, 7] = 1
    blurred = GaussianBlur(std=1.3).degrade(image)
    kernel = gaussian_kernels(15, std, std)
    assert (blurred[0] - kernel).abs().max() < 1e-3


def test_output_depends_on_what_it_is_told():
    torch.manual_seed(0)
    network = SRMD(upscale_factor=2, noise_std=5.0, **SMALL).eval()
    lr = torch.rand(2, 3, 6, 7)
    sr = network(lr, blur_std=full(0.5, 1.5), noise_std=full(0.0, 20.0))
    assert sr.shape == (2, 3, 12, 14)
    for blur, noise in [(0.5, 10.0), (1.0, 0.0)]:
        other = network(lr[:1], full(blur), full(noise))
        assert not torch.allclose(other, sr[:1])
    one = network(lr[1:], full(1.5), full(20.0))
    torch.testing.assert_close(one, sr[1:])
    # what it assumes of images that nobody degraded
    torch.testing.assert_close(
        network(lr), network(lr, full(1.0, 1.0), full(5.0, 5.0))
    )


def build(scale=2):
    cfg = Config.fromfile(f'configs/sr2/sr_srmd_mnist_x{scale}.py').model
    cfg.sr_net.update(SMALL)
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(cfg)


def told(model, batch):
    seen = []
    hook = model.sr_net.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    with torch.no_grad():
        Views(model, **model.data_preprocessor(batch, model.training))['sr']
    hook.remove()
    return seen[0]


@pytest.mark.parametrize('scale', [2, 4])
def test_a_model_tells_each_images_degradation(scale):
    model = build(scale)
    batch = make_batch('cls', num=40, size=(28, 28))
    first, second = told(model, batch), told(model, batch)
    for name, high in [('blur_std', scale), ('noise_std', 75)]:
        values = first[name]
        assert values.shape == (40,) and len(values.unique()) > 30
        assert 0 <= values.min() and values.max() <= high
        assert not torch.equal(values, second[name])
    model.eval()
    model.degradation.steps[-1].std = 2.55  # as the benchmark does
    assert told(model, batch)['blur_std'].unique() == pytest.approx(
        0.4 * scale
    )
    assert told(model, batch)['noise_std'].unique() == pytest.approx(2.55)
    model.input_is_lr = True
    assert told(model, batch) == {}


def test_drawn_noise_is_what_is_told():
    step = GaussianNoise(std=0, train_std=(0, 50))
    grey = torch.full((8, 3, 60, 60), 0.5)
    noise = step(grey) - grey
    stds = noise.flatten(1).std(dim=1) * 255
    torch.testing.assert_close(stds, step.told['noise_std'], rtol=0.05, atol=0)


def test_drawn_blur_is_what_is_told():
    """Image by image, the same as with that standard deviation alone."""
    step = GaussianBlur(std=1, train_std=(0.2, 2))
    images = torch.rand(4, 3, 20, 24)
    blurred = step(images)
    stds = step.told['blur_std']
    assert len(stds.unique()) == 4
    for image, std, expected in zip(images, stds, blurred):
        alone = GaussianBlur(std=std.item())(image[None])[0]
        assert torch.equal(alone, expected)
    assert not torch.allclose(blurred, images, atol=0.05)
    step.eval()(images)
    assert step.told['blur_std'].tolist() == [1.0] * 4


def test_learns_what_it_is_told():
    """The same images, to be brightened by as much as it is told of noise."""
    torch.manual_seed(0)
    lr = torch.rand(2, 3, 6, 6)
    lr, stds = torch.cat([lr, lr]), full(0.0, 0.0, 50.0, 50.0)
    hr = F.interpolate(lr, scale_factor=2) + stds.view(-1, 1, 1, 1) / 50
    network = SRMD(upscale_factor=2, **SMALL)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        loss = F.mse_loss(network(lr, noise_std=stds), hr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # untold, it is 0.25 at least
