"""A network may not spoil what others look at."""

import pytest
import torch
from tiny import SR_NET, SWINIR, build_model, make_batch
from torch import nn

from sr4ir_mm.models.lending import Lender
from sr4ir_mm.models.views import Views


class Spoiler(nn.Module):
    """Multiplies its input by 255 in place, as spandrel's RCAN does."""

    def __init__(self, network, factor=255, window_size=1):
        super().__init__()
        self.network = network
        self.factor = factor
        self.window_size = window_size
        self.passes = []

    def forward(self, x):
        self.passes.append(x)
        return self.network(x.mul_(self.factor) / self.factor)


def spoil(model, factor=255):
    model.sr_net = Spoiler(model.sr_net, factor)
    return model


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('tile', [None, 3])
def test_an_sr_network_that_changes_its_input(training, tile):
    expected = build_model(tile=tile)
    model = spoil(build_model(tile=tile))
    for _ in range(3):
        pairs = []
        for one in (expected, model):
            one.train(training)
            views = one.make_views(make_batch())
            lr = views['lr'].clone()
            pairs.append(views['sr'])
            assert torch.equal(views['lr'], lr)
            views.refresh()
            torch.testing.assert_close(views['sr'], pairs[-1])
        torch.testing.assert_close(*pairs)


@pytest.mark.parametrize('spoils', [True, False])
def test_activation_checkpointing(spoils):
    """LR is there as it was when its maps are made again."""
    gradients = []
    for with_cp in (False, True):
        model = build_model()
        if spoils:
            spoil(model)
        model.sr_net.with_cp = with_cp
        views = model.make_views(make_batch())
        for _ in range(2):
            views.refresh()
            views['sr'].square().mean().backward()
        parameters = model.sr_net.parameters()
        gradients.append([param.grad for param in parameters])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    'spoils',
    [
        lambda x: x.shape[-1] % 2 == 0,  # others it pads, in a copy
        lambda x: not torch.is_grad_enabled(),
    ],
)
def test_a_network_that_changes_some_inputs(spoils):
    model = build_model().eval()
    forward = model.sr_net.forward
    model.sr_net.forward = lambda x: forward(x.mul_(2) if spoils(x) else x)
    for size in (36, 32, 36, 32):
        data = model.data_preprocessor(make_batch(size=(size, size)), False)
        views = Views(model, **data)
        lr = views['lr'].clone()
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients):
                views.refresh()
                views['sr']
            assert torch.equal(views['lr'], lr)


def test_images_of_inference_mode_are_copied_once():
    lender, network = Lender(), nn.Identity()
    with torch.inference_mode():
        image, given = torch.ones(2), []
        for _ in range(3):
            with lender.lend(network, image) as lent:
                given.append(lent is image)
    assert given == [False, True, True]


@torch.inference_mode()
def test_in_inference_mode():
    model = spoil(build_model()).eval()
    views = Views(model, **model.data_preprocessor(make_batch(), False))
    lr = views['lr'].clone()
    for _ in range(2):
        views.refresh()
        views['sr']
        assert torch.equal(views['lr'], lr)


def test_layers_that_a_task_model_shares(monkeypatch):
    sr_net = dict(type='sr4ir_mm.FSRCNN', mid_channels=4)
    model = build_model(sr_net=sr_net)
    for name, place in (('extract_shared', 0), ('reconstruct', 1)):
        method = getattr(model.sr_net, name)

        def spoil(*args, method=method, place=place):
            args[place].mul_(2)
            return method(*args)

        monkeypatch.setattr(model.sr_net, name, spoil)
    views = model.make_views(make_batch())
    lr = views['lr'].clone()
    for _ in range(2):
        views.refresh()
        views['shared'], views['sr']
        assert torch.equal(views['lr'], lr)


def test_real_lr_images_and_pieces_of_a_batch():
    model = spoil(build_model())
    views = model.make_views(make_batch(num=4))
    lr = views['lr'].clone()
    for piece in views.split(2):
        piece['sr']
    assert torch.equal(views['lr'], lr)
    real = spoil(build_model(input_is_lr=True)).eval()
    data = real.data_preprocessor(make_batch(size=(8, 8)), False)
    inputs = data['inputs'].clone()
    Views(real, **data)['sr']
    assert torch.equal(data['inputs'], inputs)


def test_a_task_model_that_changes_its_input(monkeypatch):
    model = build_model()
    backbone = model.task_model.backbone
    forward = backbone.forward
    monkeypatch.setattr(backbone, 'forward', lambda x: forward(x.mul_(2)))
    views = model.make_views(make_batch())
    hr = views.inputs.clone()
    model.eval()  # BatchNorm would remember what it sees
    with torch.no_grad():
        first = model.features(views, 'hr', [-1])[0].clone()
        model.task_loss(views, 'hr')
        again = model.features(views, 'hr', [-1])[0]
        model.predict(model.make_views(make_batch()), 'hr')
        model.view, images = 'hr', hr.clone()
        model.extract_feat(images)
    assert torch.equal(images, hr)
    assert torch.equal(views.inputs, hr) and torch.equal(first, again)


def test_others_get_no_copy():
    lender, image = Lender(), torch.ones(2)
    good, bad = nn.Identity(), nn.Identity()
    given = []
    for _ in range(3):
        with lender.lend(good, image) as lent:
            given.append(lent is image)
        with lender.lend(bad, image) as lent:
            lent.add_(1)
            assert lent is not image
    assert given == [False, True, True]
    with pytest.raises(RuntimeError, match='Identity has changed its input'):
        with lender.lend(good, image) as lent:
            lent.add_(1)


@pytest.mark.parametrize('size', [(3, 3), (4, 20), (20, 4), (1, 9), (8, 8)])
def test_images_smaller_than_a_window(size):
    """SwinIR cannot reflect more than there is."""
    model = build_model(sr_net=SWINIR, input_is_lr=True).eval()
    height, width = size
    inputs = torch.rand(1, 3, height, width)
    with torch.no_grad():
        sr = Views(model, inputs)['sr']
    assert sr.shape == (1, 3, 4 * height, 4 * width)
    assert sr.isfinite().all()


@pytest.mark.parametrize(
    'key', ['out_channels', 'in_channels', 'img_channels']
)
def test_other_numbers_of_channels(key):
    with pytest.raises(ValueError, match=f'model.sr_net.{key}=1: SR networks'):
        build_model(sr_net=dict(SR_NET, **{key: 1}))
