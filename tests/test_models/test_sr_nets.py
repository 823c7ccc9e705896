"""FSRCNN and WDSR: shapes, sizes, and the prefix that a classifier shares."""

import shutil

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tiny import build_model, make_batch

from sr4ir_mm.models import FSRCNN, WDSR, EDSRNet, SwinIRNet
from sr4ir_mm.models.sr_nets.edsr import conv_shuffle_conv, merge
from sr4ir_mm.models.sr_task_model import build_sr_net
from sr4ir_mm.registry import MODELS

SMALL = {
    FSRCNN: dict(mid_channels=8, num_blocks=2, shrink_channels=4),
    WDSR: dict(mid_channels=4, num_blocks=3, expansion=2),
}
LAYERS = {FSRCNN: 5, WDSR: 3}  # of the small ones, all of which can be shared
BOTH = pytest.mark.parametrize('network', [FSRCNN, WDSR])


def build(network, **kwargs):
    torch.manual_seed(0)
    return network(**{**SMALL[network], **kwargs})


def count(network):
    return sum(p.numel() for p in network.parameters())


@BOTH
@pytest.mark.parametrize('scale', [1, 2, 3, 4, 8])
@pytest.mark.parametrize('channels', [1, 3])
def test_shapes(network, scale, channels):
    net = build(
        network,
        in_channels=channels,
        out_channels=channels,
        upscale_factor=scale,
    )
    for h, w in [(7, 7), (5, 12), (1, 3)]:
        sr = net(torch.rand(2, channels, h, w))
        assert sr.shape == (2, channels, scale * h, scale * w)


@BOTH
@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_every_hr_pixel_sees_its_lr_pixel(network, scale):
    """Also at the edges, where a misplaced kernel would leave the bias."""
    net = build(network, in_channels=1, out_channels=1, upscale_factor=scale)
    net.eval()
    lr = torch.rand(1, 1, 3, 3)
    changed = lr.clone()
    changed[..., 2, 2] += 1
    with torch.no_grad():
        moved = net(lr) != net(changed)
    assert moved[..., -scale:, -scale:].all()


@pytest.mark.parametrize('scale', [2, 3, 4, 8, 9])
def test_fsrcnn_kernel_lies_on_its_pixel(scale):
    """Alone, the last layer maps an LR pixel to 9x9 HR pixels round it."""
    upsample = FSRCNN(upscale_factor=scale).upsample
    nn.init.ones_(upsample.weight)
    nn.init.zeros_(upsample.bias)
    lr = torch.zeros(1, 56, 11, 11)
    lr[..., 5, 5] = 1
    rows = upsample(lr)[0, 0].sum(1).nonzero()[:, 0]
    assert len(rows) == 9
    middle = 5 * scale + (scale - 1) / 2
    assert abs(rows.float().mean().item() - middle) <= 0.5


def test_fsrcnn_parameters():
    """By hand, x-times-kernel-plus-bias and one PReLU slope each channel.

    ======== ================= ==== =====
    layer    weights           bias PReLU
    ======== ================= ==== =====
    extract  3 * 56 * 25 4200    56    56
    shrink   56 * 12      672    12    12
    map x4   4 * 12*12*9 5184    48    48
    expand   12 * 56      672    56    56
    deconv   56 * 3 * 81 13608    3     -
    ======== ================= ==== =====

    24,336 + 175 + 172, whatever the scale. Grey, the first and the last have
    a third of the weights: the 12,464 of the FSRCNN paper, which counts
    weights only.
    """
    for scale in (2, 4):
        assert count(FSRCNN(upscale_factor=scale)) == 24_683
    grey = FSRCNN(in_channels=1, out_channels=1)
    weights = [p.numel() for p in grey.parameters() if p.ndim == 4]
    assert sum(weights) == 12_464


@pytest.mark.parametrize(
    'scale,expected',
    [(2, 1_190_090), (3, 1_195_535), (4, 1_203_158), (8, 1_255_430)],
)
def test_wdsr_parameters(scale, expected):
    """By hand, with s for the scale.

    first convolution   3 * 32 * 9 + 32                         = 896
    identity mapping    2 * 32 + 32*128*9 + 2 * 128 + 128*32*9  = 74,048
    last BN             2 * 32                                  = 64
    deconvolution       32 * 3 * (3s)^2 + 3                     = 864s^2 + 3
    skip                3 * 3 * (5s)^2 + 3                      = 225s^2 + 3

    896 + 16 * 74,048 + 64 + 1089s^2 + 6
    """
    assert count(WDSR(upscale_factor=scale)) == expected


@BOTH
def test_shared_channels(network):
    lr = torch.rand(1, 3, 6, 5)
    for num_shared in range(1, LAYERS[network] + 1):
        net = build(network, num_shared=num_shared)
        shared = net.extract_shared(lr)
        assert shared.shape == (1, net.shared_channels, 6, 5)


def test_fsrcnn_shares_more_or_less_wide_layers():
    channels = [FSRCNN(num_shared=n).shared_channels for n in range(1, 8)]
    assert channels == [56, 12, 12, 12, 12, 12, 56]


@BOTH
def test_shared_prefix_is_what_forward_uses(network):
    """Gradients say which parameters the shared features come from; moving
    all others changes the SR image only, moving these changes both."""
    lr = torch.rand(2, 3, 6, 6)
    for num_shared in range(1, LAYERS[network] + 1):
        net = build(network, num_shared=num_shared).eval()
        shared, sr = net.extract_shared(lr), net(lr)
        torch.testing.assert_close(net.reconstruct(shared, lr), sr)
        shared.pow(2).sum().backward()
        prefix = [p for p in net.parameters() if p.grad is not None]
        rest = [p for p in net.parameters() if p.grad is None]
        assert prefix and rest

        def nudge(params):
            with torch.no_grad():
                for param in params:
                    param += 0.1

        nudge(rest)
        assert torch.equal(net.extract_shared(lr), shared)
        assert not torch.allclose(net(lr), sr)
        sr = net(lr)
        nudge(prefix)
        assert not torch.allclose(net.extract_shared(lr), shared)
        assert not torch.allclose(net(lr), sr)


@BOTH
def test_a_longer_prefix_is_the_same_network(network):
    """So what was trained alone can be shared at any depth afterwards."""
    lr = torch.rand(2, 3, 6, 6)
    nets = [
        build(network, num_shared=n).eval()
        for n in range(1, LAYERS[network] + 1)
    ]
    for net in nets[1:]:
        net.load_state_dict(nets[0].state_dict())
        assert torch.equal(net(lr), nets[0](lr))
    sizes = [
        sum(
            p.grad is not None
            for p in _after_backward(net, net.extract_shared(lr))
        )
        for net in nets
    ]
    assert sizes == sorted(set(sizes))


def _after_backward(net, output):
    output.sum().backward()
    return list(net.parameters())


@BOTH
@pytest.mark.parametrize('num_shared', [0, -1, 99])
def test_num_shared_out_of_range(network, num_shared):
    expected = rf'num_shared={num_shared}: expected 1 to {LAYERS[network]}'
    with pytest.raises(ValueError, match=expected):
        build(network, num_shared=num_shared)


def test_fsrcnn_factor_beyond_its_kernel():
    with pytest.raises(ValueError, match='upscale_factor=10: expected 1 to 9'):
        FSRCNN(upscale_factor=10)


@BOTH
def test_initialization_keeps_the_scale_of_the_image(network):
    """By He et al.: no explosion through the full-size network."""
    for scale in (2, 4):
        sr = network(upscale_factor=scale)(torch.rand(4, 3, 14, 14))
        assert 0.05 < sr.std() < 2


@BOTH
def test_learns(network):
    """To tell the fine pattern of an image from its LR copy."""
    hr = F.interpolate(torch.rand(4, 3, 6, 6), scale_factor=4, mode='bicubic')
    lr = F.avg_pool2d(hr, 2)
    net = build(network, upscale_factor=2)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = F.mse_loss(net(lr), hr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.15 * losses[0]
    assert losses[-1] < hr.var()


@BOTH
def test_in_an_sr_task_model(network, tmp_path):
    """With weights from a file, which nothing else re-initializes."""
    trained = build(network)
    path = str(tmp_path / 'trained.pth')
    torch.save(dict(state_dict=trained.state_dict()), path)
    cfg = dict(
        type=f'sr4ir_mm.{network.__name__}',
        **SMALL[network],
        num_shared=2,
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    alone = build_sr_net(cfg)
    assert type(alone) is network
    alone.init_weights()
    model = build_model(seed=1, sr_net=cfg)
    model.init_weights()
    for net in (alone, model.sr_net):
        for key, value in trained.state_dict().items():
            assert torch.equal(net.state_dict()[key], value), key


@BOTH
def test_init_weights_without_a_file_changes_nothing(network):
    net = build_sr_net(
        dict(type=f'sr4ir_mm.{network.__name__}', **SMALL[network])
    )
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.init_weights()
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key])


def classifier(in_channels):
    """The one of SR2, initialized; for so many channels."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile('configs/_base_/models/sr2_resnet18.py').classifier
    cfg.backbone.in_channels = in_channels
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def test_classifier_is_resnet18_without_its_last_stage():
    """By hand: stem 1,856; stages 147,968, 525,568 and 2,099,712; 2,570."""
    model = classifier(3).eval()
    assert count(model) == 2_777_674
    for side, expected in [(28, 7), (16, 4), (14, 4), (7, 2)]:
        maps = model.extract_feat(torch.rand(1, 3, side, side), 'backbone')
        assert [tuple(one.shape) for one in maps] == [
            (1, 256, expected, expected)
        ]
    assert all(  # no block starts as identity
        block.norm2.weight.eq(1).all() for block in model.backbone.layer3
    )


@BOTH
def test_classifier_learns_the_shared_layers(network):
    """Its loss reaches the shared layers and no other SR layer."""
    from mmpretrain.structures import DataSample

    net = build(network, num_shared=2)
    model = classifier(net.shared_channels)
    samples = [DataSample().set_gt_label(label) for label in (3, 7)]
    shared = net.extract_shared(torch.rand(2, 3, 7, 7))
    losses = model.loss(shared, samples)
    losses['loss'].backward()
    reached = {
        name
        for name, p in net.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    prefix = dict(
        FSRCNN=('layers.0.', 'layers.1.'),
        WDSR=('conv_first.', 'body.0.', 'body.1.'),
    )[network.__name__]
    assert reached == {
        name for name, _ in net.named_parameters() if name.startswith(prefix)
    }


def of_mmagic(name, **kwargs):
    """mmagic's network and ours, with the same weights, none of them zero, in
    double precision. Files of both, and the states of optimizers, fit both:
    names are in the same order. The first weights are the same, too."""
    pair = []
    for scope in ('mmagic', 'sr4ir_mm'):
        torch.manual_seed(0)
        network = MODELS.build(dict(type=f'{scope}.{name}', **kwargs))
        assert type(network).__module__.startswith(f'{scope}.')
        pair.append(network)
    theirs, ours = (list(network.state_dict().items()) for network in pair)
    assert [key for key, _ in theirs] == [key for key, _ in ours]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(theirs, ours))
    names = [[key for key, _ in net.named_parameters()] for net in pair]
    assert names[0] == names[1]
    for param in pair[0].double().parameters():
        param.data += 0.1 * torch.randn_like(param)
    pair[1].double().load_state_dict(pair[0].state_dict())
    return pair


def assert_same(theirs, ours, shape):
    """Results, and all gradients."""
    image = torch.rand(shape).double()
    images = [image.clone().requires_grad_() for _ in range(2)]
    results = []
    for net, image in zip((theirs, ours), images):
        torch.manual_seed(0)  # of what is dropped
        results.append(net(image))
    grad = torch.randn_like(results[0])
    for result in results:
        result.backward(grad)
    pairs = [results, [image.grad for image in images]]
    pairs += zip(
        [p.grad for p in theirs.parameters()],
        [p.grad for p in ours.parameters()],
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('scale', [2, 3, 4, 8])
@pytest.mark.parametrize('res_scale', [1, 0.1])
def test_edsr_is_mmagics(scale, res_scale):
    pair = of_mmagic(
        'EDSRNet',
        in_channels=3,
        out_channels=3,
        mid_channels=4,
        num_blocks=2,
        upscale_factor=scale,
        res_scale=res_scale,
        rgb_mean=[0.5, 0.4, 0.3],
        rgb_std=[0.9, 1.0, 1.1],
    )
    assert_same(*pair, (2, 3, 6, 5))


@pytest.mark.parametrize('channels', [1, 4])
def test_edsr_of_other_channels(channels):
    sizes = dict(mid_channels=4, num_blocks=1, upscale_factor=2)
    net = EDSRNet(channels, channels, **sizes)
    assert net.mean.shape == (1, channels, 1, 1)
    assert net.mean.unique().item() == pytest.approx(0.4300, abs=1e-4)
    assert net(torch.rand(1, channels, 5, 4)).shape == (1, channels, 10, 8)


@pytest.mark.parametrize(
    'cls, options, message',
    [
        (EDSRNet, dict(upscale_factor=6), 'scale .* is 6: expected 3, or a p'),
        (EDSRNet, dict(upscale_factor=1), 'scale .* is 1: expected'),
        (EDSRNet, dict(out_channels=1), 'in_channels=3, out_channels=1, '),
        (EDSRNet, dict(rgb_mean=[0.5]), r'rgb_mean=\[0.5\].*as many numbers'),
        (SwinIRNet, dict(img_size=20, window_size=8), 'img_size=20, window_s'),
        (SwinIRNet, dict(img_size=6, window_size=8), 'img_size=6, window_s'),
        (SwinIRNet, dict(upsampler='nearest'), "upsampler='nearest': expec"),
        (SwinIRNet, dict(resi_connection='2conv'), "resi_connection='2conv'"),
    ],
)
def test_mistakes_in_options(cls, options, message):
    defaults = dict(window_size=8)
    if cls is EDSRNet:
        defaults = dict(in_channels=3, out_channels=3)
    with pytest.raises(ValueError, match=message):
        cls(**{**defaults, **options})


@pytest.mark.parametrize('scale', [2, 3, 4, 8])
@pytest.mark.parametrize('size', [(7, 9), (3, 3), (2, 5), (1, 4), (1, 1)])
def test_merged_convolutions_are_edsrs(scale, size):
    """In the rim, where it sees zeros, and in images that are all rim."""
    pair = of_mmagic(
        'EDSRNet',
        in_channels=3,
        out_channels=3,
        mid_channels=4,
        num_blocks=1,
        upscale_factor=scale,
    )
    assert_same(*pair, (2, 3, *size))


@pytest.mark.skipif(not shutil.which('g++'), reason='compiles C++')
def test_merged_convolutions_compile():
    """By PyTorch's own back end, which takes no view for a bias."""
    first, last = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1)
    x = torch.rand(1, 2, 4, 5)

    def compute():
        return conv_shuffle_conv(x, first, *merge(first, last, 2), 2)

    results = [call() for call in (compute, torch.compile(compute))]
    grads = [
        torch.autograd.grad(y.square().sum(), first.weight) for y in results
    ]
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*grads)


def test_merged_convolutions_make_no_large_map():
    """Not one of the size of the SR image, but the image itself."""
    net = MODELS.build(
        dict(
            type='sr4ir_mm.EDSRNet',
            in_channels=3,
            out_channels=3,
            mid_channels=16,
            num_blocks=1,
        )
    )
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.shape) or x, lambda x: x
    ):
        net(torch.rand(1, 3, 8, 8))
    assert not any(s[2:] == (32, 32) and s[1] > 3 for s in map(tuple, sizes))


SWINIR = dict(
    upscale=2,
    in_chans=3,
    img_size=16,
    window_size=4,
    depths=[2, 1],
    embed_dim=8,
    num_heads=[2, 4],
    upsampler='pixelshuffledirect',
)


@pytest.mark.parametrize(
    'options, size',
    [
        (dict(), (16, 16)),
        (dict(img_size=(8, 16), mlp_ratio=2), (12, 16)),
        (dict(upsampler='pixelshuffle', upscale=3), (9, 7)),
        (dict(upsampler='pixelshuffle', upscale=4), (5, 14)),
        (dict(upsampler='nearest+conv', upscale=4, ape=True), (16, 16)),
        (dict(upsampler='nearest+conv', resi_connection='3conv'), (4, 10)),
        (dict(upsampler='', upscale=1, in_chans=1, img_range=255.0), (13, 16)),
        (dict(img_size=4, patch_norm=False, qkv_bias=False), (8, 8)),
        (dict(img_size=4, patch_size=2, qk_scale=0.3), (8, 8)),
        (dict(drop_rate=0.2, drop_path_rate=0.5), (8, 12)),
        (dict(use_checkpoint=True), (8, 8)),
    ],
)
def test_swinir_is_mmagics(options, size):
    """With windows that are shifted, and images that are none of them."""
    options = {**SWINIR, **options}
    pair = of_mmagic('SwinIRNet', **options)
    assert_same(*pair, (4, options['in_chans'], *size))


def test_attention_stays_exact_in_mixed_precision(monkeypatch):
    net = SwinIRNet(**SWINIR)
    attention, seen = F.scaled_dot_product_attention, []

    def watch(query, *args, **kwargs):
        seen.append(query.dtype)
        return attention(query, *args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', watch)
    with torch.autocast('cpu', torch.bfloat16):
        net(torch.rand(1, 3, 8, 8))
    assert set(seen) == {torch.float32}


def test_names_of_mmagic():
    """Of old configs and checkpoints, whoever's is installed."""
    from tiny import SR_NET, SWINIR

    for cfg, cls in ((SR_NET, EDSRNet), (SWINIR, SwinIRNet)):
        assert cfg['type'] == f'sr4ir_mm.{cls.__name__}'
        cfg = dict(cfg, type=f'mmagic.{cls.__name__}')
        assert type(build_sr_net(cfg)) is cls


@pytest.mark.parametrize('with_cp', [False, True])
def test_activation_checkpointing(with_cp):
    from tiny import SR_NET, make_batch

    model = build_model(sr_net=dict(SR_NET, with_cp=with_cp))
    calls = []
    model.sr_net.conv_first.register_forward_hook(
        lambda *_: calls.append('forward')
    )
    model.train()
    loss = model.make_views(make_batch())['sr'].mean()
    loss.backward()
    assert len(calls) == 1 + with_cp
    assert model.sr_net.conv_first.weight.grad.abs().sum() > 0


CHANNELS = dict(in_channels=3, out_channels=3)
LIIF = dict(
    type='sr4ir_mm.LIIF',
    network=dict(
        type='mmagic.LIIFEDSRNet',
        encoder=dict(
            type='EDSRNet',
            mid_channels=4,
            num_blocks=1,
            **CHANNELS,
        ),
        imnet=dict(type='MLPRefiner', in_dim=4, out_dim=3, hidden_list=[8, 8]),
        eval_bsize=100,
    ),
)


@pytest.mark.parametrize('scale', [1, 2, 3, 5])
def test_liif_is_an_sr_network_of_any_scale(scale):
    network = build_sr_net(dict(LIIF, scale=scale))
    lr = torch.rand(2, 3, 6, 9)
    sr = network(lr)
    assert sr.shape == (2, 3, 6 * scale, 9 * scale)
    sr.mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    with torch.no_grad():  # in pieces
        torch.testing.assert_close(network(lr), sr)


def test_liif_asks_for_the_centers_of_pixels():
    """A coordinate network that knows the image gives it back."""
    network = build_sr_net(dict(LIIF, scale=2))
    hr = torch.rand(1, 3, 8, 12)

    def look_up(lr, points, pixel, test_mode):
        assert torch.equal(pixel[0, 0], torch.tensor([2 / 8, 2 / 12]))
        assert torch.equal(lr, hr[..., ::2, ::2] - network.mean)
        grid = points.flip(-1)[:, None]
        found = F.grid_sample(hr - network.mean, grid, align_corners=False)
        return found[:, :, 0].transpose(1, 2)

    network.network.forward = look_up
    torch.testing.assert_close(network(hr[..., ::2, ::2]), hr)


def test_liif_takes_weights_of_mmagic(tmp_path):
    source = build_sr_net(dict(LIIF, scale=2)).network
    path = tmp_path / 'liif.pth'
    weights = {f'generator.{k}': v for k, v in source.state_dict().items()}
    torch.save(dict(state_dict=weights), path)
    init_cfg = dict(
        type='Pretrained', checkpoint=str(path), prefix='generator.'
    )
    cfg = dict(LIIF, scale=3, network=dict(LIIF['network'], init_cfg=init_cfg))
    model = build_model(sr_net=cfg, scale=3)
    model.init_weights()
    for name, value in model.sr_net.network.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


@pytest.mark.parametrize(
    'sr_net,scale',
    [
        (LIIF['network'], 4),
        (dict(type='mmagic.EDVRNet', **CHANNELS), 4),
        (
            dict(
                type='mmagic.DICNet', mid_channels=4, num_blocks=2, **CHANNELS
            ),
            8,
        ),
    ],
    ids=['coordinates', 'video', 'faces'],
)
def test_networks_that_are_for_something_else(sr_net, scale):
    model = build_model(sr_net=sr_net, scale=scale)
    views = model.make_views(make_batch(size=(128, 128)))
    with pytest.raises(ValueError, match=r'model\.sr_net=.*takes a batch of'):
        views['sr']
