import pytest
import torch
import torch.nn.functional as F
from tiny import SR_NET, build_model, make_batch

from sr4ir_mm.models.sr_nets import build_sr_net
from sr4ir_mm.models.tiling import MARGIN, super_resolve_in_tiles

SWINIR = dict(
    type='sr4ir_mm.SwinIRNet',
    upscale=2,
    img_size=8,
    window_size=4,
    depths=[2],
    embed_dim=8,
    num_heads=[2],
    mlp_ratio=2,
    upsampler='pixelshuffle',
)


def build(**cfg):
    return build_sr_net(cfg).double().eval().requires_grad_(False)


def draw(height, width):
    return torch.rand(1, 3, height, width, dtype=torch.float64)


def test_equals_the_untiled_output_if_the_margin_covers_what_is_seen():
    network = build(**SR_NET)  # looks 6 LR pixels far
    lr = draw(37, 50)
    whole = network(lr)

    tiled = super_resolve_in_tiles(network, lr, 4, tile=16, margin=6)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)

    tiled = super_resolve_in_tiles(network, lr, 4, tile=16, margin=2)
    error = (tiled - whole).abs().amax(dim=1)
    differs = F.max_pool2d(error, 4)[0] > 1e-9
    # from 4 pixels before to 4 pixels behind the border of two tiles
    near = torch.zeros_like(differs)
    for border in (16, 32, 48):
        near[border - 4 : border + 4] = True
        near[:, border - 4 : border + 4] = True
    assert differs.any() and not differs[~near].any()


def test_the_margin_covers_edsr_baseline():
    cfg = dict(SR_NET, num_blocks=16, mid_channels=2)
    network = build(**cfg)
    lr = draw(1, 3 * MARGIN).expand(-1, -1, 4, -1).clone().requires_grad_()
    middle = network(lr)[..., 6 * MARGIN]
    (gradient,) = torch.autograd.grad(middle.sum(), lr)
    seen = gradient.abs().amax(dim=(0, 1, 2)).nonzero().flatten()
    reach = (seen - 3 * MARGIN // 2).abs().max()
    assert 30 < reach <= MARGIN


def test_windows_of_swinir_stay_in_their_places():
    network = build(**SWINIR)
    lr = draw(30, 45)  # no multiples of the window
    whole = network(lr)
    tiles = dict(tile=10, margin=13)
    aligned = super_resolve_in_tiles(network, lr, 2, window=4, **tiles)
    torch.testing.assert_close(aligned, whole, rtol=0, atol=1e-12)
    shifted = super_resolve_in_tiles(network, lr, 2, window=1, **tiles)
    assert not torch.allclose(shifted, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize('sr_net', ['EDSR', 'FSRCNN'])
def test_a_model_with_tiles_predicts_the_same(sr_net, monkeypatch):
    cfg = dict(
        EDSR=SR_NET, FSRCNN=dict(type='sr4ir_mm.FSRCNN', mid_channels=4)
    )[sr_net]
    batch = make_batch(size=(130, 90))
    whole = build_model(sr_net=cfg).eval()
    tiled = build_model(sr_net=cfg, tile=16).eval()
    sizes = []
    tiled.sr_net.register_forward_pre_hook(
        lambda module, args: sizes.append(tuple(args[0].shape[2:]))
    )
    with torch.no_grad():
        a, b = (model.test_step(batch)[0] for model in (whole, tiled))
    torch.testing.assert_close(a.pred_img, b.pred_img)
    assert len(sizes) == 6 and max(sizes) == (33, 23)


def test_a_network_of_another_scale_is_found_in_tiles_too():
    model = build_model(tile=8, scale=2).eval()
    with pytest.raises(ValueError, match='larger by model.scale=2'):
        model.test_step(make_batch())


def test_tile_is_a_number_of_pixels():
    with pytest.raises(ValueError, match='model.tile=0'):
        build_model(tile=0)
