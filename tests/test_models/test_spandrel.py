"""SR networks that spandrel knows, from a file or by name."""

import logging
import os
import sys

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from reference import EDSR
from safetensors.torch import save_file
from test_recipes import train
from tiny import (
    SEGMENTOR,
    SR4IR,
    SR_NET,
    SWINIR,
    build_model,
    make_batch,
    model_cfg,
    moved,
    runner_cfg,
    snapshot,
)

from sr4ir_mm.apis import init_model, wrap
from sr4ir_mm.apis.deployment import (
    check_onnx,
    export_onnx,
    make_deployable,
)
from sr4ir_mm.models import Spandrel
from sr4ir_mm.models.sr_nets import build_sr_net, by_name
from sr4ir_mm.models.sr_nets.edsr_files import edsr_weights
from sr4ir_mm.models.sr_nets.spandrel import read_network
from sr4ir_mm.models.views import Views
from sr4ir_mm.registry import RUNNERS
from sr4ir_mm.utils.bands import read_bands

TDP = [dict(SR4IR[0], losses=[dict(loss) for loss in SR4IR[0]['losses']])]
TDP[0]['losses'][1]['begin'] = 0.0
WINDOWS = dict(img_size=16, embed_dim=12, num_heads=[2], window_size=8)
# Options of small networks, x4.
NETWORKS = dict(
    ESRGAN=dict(num_filters=8, num_blocks=2),
    SwinIR=dict(
        WINDOWS, depths=[2], upscale=4, upsampler='pixelshuffledirect'
    ),
    HAT=dict(
        WINDOWS,
        depths=[2],
        squeeze_factor=4,
        upscale=4,
        upsampler='pixelshuffle',
    ),
    DAT=dict(
        img_size=16,
        embed_dim=64,
        depth=[2],
        num_heads=[2],
        split_size=[4, 8],
        upscale=4,
    ),
    SPAN=dict(num_in_ch=3, num_out_ch=3, feature_channels=8),
    Compact=dict(num_feat=8, num_conv=2),
    OmniSR=dict(num_feat=16, block_num=1, res_num=1),
    RCAN=dict(n_resgroups=1, n_resblocks=1, n_feats=16),
    PLKSR=dict(dim=16, n_blocks=2, kernel_size=5),
    SAFMN=dict(dim=16, n_blocks=1),
)
SMALL = dict(
    default_scope='mmseg',
    model=SEGMENTOR,
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
    train_cfg=dict(by_epoch=True, max_epochs=1),
)
BICUBIC = dict(type='sr4ir_mm.Bicubic')
EVERY = pytest.mark.parametrize('arch', NETWORKS)
# These look at the whole image, or pool it: tiles differ a little.
GLOBAL = ('HAT', 'DAT', 'OmniSR', 'RCAN')


@pytest.fixture(autouse=True)
def spandrel():
    return pytest.importorskip('spandrel')


def build(arch, **kwargs):
    torch.manual_seed(1)
    return Spandrel(arch, **{**NETWORKS[arch], **kwargs})


def write(path, weights):
    if path.suffix == '.safetensors':
        save_file({k: v.contiguous() for k, v in weights.items()}, path)
    else:
        torch.save(dict(params_ema=weights), path)
    return str(path)


def from_file(path, **kwargs):
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    return dict(type='sr4ir_mm.Spandrel', init_cfg=init_cfg, **kwargs)


def load(sr_net, **kwargs):
    model = build_model(seed=2, sr_net=sr_net, **kwargs)
    model.init_weights()
    return model


@EVERY
def test_a_phase_of_tdp_from_a_file(tmp_path, arch):
    """The network is that of the file, learns, and spoils no view."""
    source = build(arch)
    path = write(tmp_path / 'a.pth', source.network.state_dict())
    model = load(from_file(path), phases=TDP)
    assert type(model.sr_net.network) is type(source.network)
    assert not moved(model.sr_net, snapshot(source))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        pair = [net.eval()(image.clone()) for net in (source, model.sr_net)]
    torch.testing.assert_close(*pair)
    assert pair[0].shape == (1, 3, 128, 128)

    before = snapshot(model.sr_net)
    views = train(model, 'seg', 2)
    assert len(moved(model.sr_net, before)) > 5
    expected = model.degradation(views['hr'], views.sizes)
    assert torch.equal(views['lr'], expected)


@EVERY
def test_prediction_in_tiles(arch):
    batch = make_batch(num=1, size=(250, 190))
    sr_net = dict(type='sr4ir_mm.Spandrel', arch=arch, **NETWORKS[arch])
    whole, tiled = (
        build_model(sr_net=sr_net, tile=tile).eval() for tile in (None, 16)
    )
    with torch.no_grad():
        a, b = (m.test_step(batch)[0].pred_img for m in (whole, tiled))
    assert a.shape == (3, 250, 190)
    bound = 0.05 if arch in GLOBAL else 1e-5
    assert (a - b).abs().max() < bound * a.abs().max()


@EVERY
def test_images_of_any_size(arch):
    """Also below the least that the descriptor allows, and of one pixel."""
    network = build(arch).eval()
    model = build_model(input_is_lr=True).eval()
    model.sr_net = network
    for height, width in ((1, 1), (9, 21), (17, 30)):
        with torch.no_grad():
            sr = Views(model, torch.rand(2, 3, height, width))['sr']
        assert sr.shape == (2, 3, 4 * height, 4 * width)
        assert sr.isfinite().all()


ANY_SIZE = ('ESRGAN', 'SPAN', 'Compact', 'RCAN', 'PLKSR')
REASONS = dict(SAFMN='adaptive pooling, since output_size is not constant')


@EVERY
def test_export(tmp_path, arch):
    pytest.importorskip('onnxruntime')
    model = build_model()
    model.sr_net = build(arch)
    deployable = make_deployable(model, 'sr_net')
    path = str(tmp_path / 'sr.onnx')
    images = torch.randint(0, 256, (1, 3, 32, 32)).byte()
    deployable.any_size = arch in ANY_SIZE
    if arch in REASONS:
        with pytest.raises(NotImplementedError, match=REASONS[arch]):
            export_onnx(deployable, path, images)
        return
    export_onnx(deployable, path, images)
    others = [images]
    if deployable.any_size:
        others.append(torch.randint(0, 256, (2, 3, 29, 35)).byte())
    for other in others:
        assert check_onnx(deployable, path, other)['sr'] < 1e-4


def test_what_onnxruntime_refuses_is_said(tmp_path):
    """A LayerNorm of one channel, in a DAT that is too small."""
    pytest.importorskip('onnxruntime')
    model = build_model()
    model.sr_net = build('DAT', embed_dim=32)
    deployable = make_deployable(model, 'sr_net')
    path = str(tmp_path / 'sr.onnx')
    images = torch.randint(0, 256, (1, 3, 16, 16)).byte()
    export_onnx(deployable, path, images)
    with pytest.raises(NotImplementedError, match='onnxruntime refuses'):
        check_onnx(deployable, path, images)


@pytest.mark.parametrize('arch', ['SPAN', 'SwinIR', 'RCAN'])
def test_mixed_precision(arch, monkeypatch):
    """Half precision where spandrel says that the network can."""
    network = build(arch).eval()
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        exact = network(images.clone())
        with torch.autocast('cpu', torch.bfloat16):
            rough = network(images.clone())
            network.unsupported.append(torch.bfloat16)
            again = network(images.clone())
    assert not torch.equal(rough, exact) and torch.equal(again, exact)
    torch.testing.assert_close(rough.float(), exact, atol=0.3, rtol=0.3)
    assert (torch.float16 in network.unsupported) is (arch != 'SPAN')


@pytest.mark.parametrize('arch', ['Compact', 'RCAN'])
def test_compiles_as_a_whole(arch):
    network = build(arch)
    images = torch.rand(1, 3, 16, 16)
    expected = network(images.clone())
    # until PyTorch 2.3, its answer is no part of a graph
    whole = not network.unsupported or hasattr(torch, 'get_autocast_dtype')
    network.compile(backend='aot_eager', fullgraph=whole)
    found = network(images.clone())
    torch.testing.assert_close(found, expected)
    found.mean().backward()


# ------------------------------------------------------------------ files


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_file_tells_network_and_scale(tmp_path, suffix):
    source = build('SPAN', upscale=2, feature_channels=6)
    path = write(tmp_path / f'a{suffix}', source.network.state_dict())
    cfg = wrap(Config(ConfigDict(SMALL)), sr_net=path)
    assert cfg.model.scale == 2
    assert 'pixels' not in {phase.name for phase in cfg.model.phases}
    init_cfg = dict(type='Pretrained', checkpoint=path)
    assert cfg.model.sr_net == dict(
        type='sr4ir_mm.Spandrel',
        arch='SPAN',
        feature_channels=6,
        upscale=2,
        init_cfg=init_cfg,
    )
    assert not moved(load(from_file(path), scale=2).sr_net, snapshot(source))


def test_a_checkpoint_does_without_the_file(tmp_path, toy_dataset):
    source = build('Compact')
    path = write(tmp_path / 'a.pth', source.network.state_dict())
    cfg = runner_cfg(
        tmp_path / 'run',
        toy_dataset,
        model=model_cfg(sr_net=from_file(path)),
        loop=dict(type='sr4ir_mm.AlternatingIterTrainLoop', max_iters=1),
        runner_type='sr4ir_mm.Runner',
    )
    runner = RUNNERS.build(Config(cfg))
    runner.train()
    os.remove(path)
    checkpoint = str(tmp_path / 'run' / 'iter_1.pth')
    model = init_model(checkpoint, device='cpu')
    assert not moved(model.sr_net, snapshot(runner.model.sr_net))
    text = rf'model\.sr_net\.init_cfg\.checkpoint={path}: .*give a file'
    with pytest.raises(RuntimeError, match=text):
        build_sr_net(from_file(path))


def test_options_beside_a_file_replace_what_is_guessed(tmp_path):
    """A window of 7 means JPEG to spandrel, and a range of 255."""
    source = build('SwinIR', window_size=7, img_size=14)
    path = write(tmp_path / 'a.pth', source.network.state_dict())
    ranges = [
        build_sr_net(cfg).network.img_range
        for cfg in (from_file(path), from_file(path, img_range=1.0))
    ]
    assert ranges == [255.0, 1.0]


@pytest.mark.parametrize('prefix', ['', 'module.', 'generator.', 'sr_net.'])
def test_other_names_of_the_same_weights(tmp_path, prefix):
    """ESRGAN's are as many as its releases; these are Real-ESRGAN's."""
    source = build('ESRGAN')
    names = {
        'model.0.': 'conv_first.',
        'model.1.sub.2.': 'conv_body.',
        'model.3.': 'conv_up1.',
        'model.6.': 'conv_up2.',
        'model.8.': 'conv_hr.',
        'model.10.': 'conv_last.',
    }
    weights = {}
    for name, value in source.network.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        name = name.replace('model.1.sub.', 'body.').replace('.RDB', '.rdb')
        name = name.replace('.0.weight', '.weight').replace('.0.bias', '.bias')
        weights[f'{prefix}{name}'] = value
    path = write(tmp_path / 'a.pth', weights)
    assert not moved(load(from_file(path)).sr_net, snapshot(source))


def test_a_larger_scale_starts_from_a_smaller_one(tmp_path, caplog):
    """All but the last layer, as wherever else init_cfg stands."""
    source = build('Compact')
    path = write(tmp_path / 'a.pth', source.network.state_dict())
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        cfg = from_file(path, arch='Compact', **NETWORKS['Compact'])
        network = load(dict(cfg, upscale=8), scale=8).sr_net
    finally:
        logger.removeHandler(caplog.handler)
    assert network.scale == 8
    last = {'network.body.6.weight', 'network.body.6.bias'}
    assert moved(source, snapshot(source)) == set()
    kept = {k: v for k, v in source.state_dict().items() if k not in last}
    assert all(torch.equal(network.state_dict()[k], kept[k]) for k in kept)
    (record,) = [r for r in caplog.records if 'Spandrel are' in r.message]
    assert record.levelno == logging.WARNING
    assert 'body.6.weight' in record.message


# ------------------------------------------------------------------- EDSR


BASICSR = (
    ('head.0', 'conv_first'),
    ('body.0.body.0', 'body.0.conv1'),
    ('body.0.body.2', 'body.0.conv2'),
    ('body.1.body.0', 'body.1.conv1'),
    ('body.1.body.2', 'body.1.conv2'),
    ('body.2.', 'conv_after_body.'),
    ('tail.0', 'upsample'),
    ('tail.1', 'conv_last'),
)
MMAGIC = (
    ('upsample.0', 'upsample.0.upsample_conv'),
    ('upsample.2', 'upsample.1.upsample_conv'),
)


@pytest.mark.parametrize('author', ['original', 'BasicSR', 'mmagic'])
@pytest.mark.parametrize('asked', ['Spandrel', 'EDSRNet'])
def test_edsr_of_anybody(tmp_path, author, asked):
    """spandrel does not know it. Whoever wrote the file: the same images."""
    source = EDSR(2, width=8, blocks=2).set_mean_shifts().float()
    weights = source.state_dict()
    for names in {'BasicSR': [BASICSR], 'mmagic': [BASICSR, MMAGIC]}.get(
        author, []
    ):
        for theirs, ours in names:
            weights = {
                k.replace(theirs, ours) if k.startswith(theirs) else k: v
                for k, v in weights.items()
                if 'mean' not in k
            }
    if author == 'mmagic':
        weights = {
            f'generator.{k}': v / 255 if k.endswith('bias') else v
            for k, v in weights.items()
        }
    path = write(tmp_path / 'a.pth', weights)
    cfg = from_file(path)
    if asked == 'EDSRNet':
        sizes = dict(mid_channels=8, num_blocks=2)
        cfg = dict(SR_NET, **sizes, init_cfg=cfg['init_cfg'])
    network = load(cfg).sr_net
    assert type(network).__name__ == 'EDSRNet'
    lr = torch.rand(2, 3, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(network(lr), source(lr))


def test_edsr_on_another_range_or_mean(tmp_path):
    weights = {
        'head.0.weight': torch.ones(4, 3, 3, 3),
        'head.0.bias': torch.ones(4),
        'sub_mean.bias': -torch.tensor([0.4488, 0.4371, 0.4040]),
    }
    assert edsr_weights(weights)['conv_first.bias'].tolist() == [1.0] * 4
    weights['sub_mean.bias'] = -torch.full((3,), 127.5)
    with pytest.raises(ValueError, match=r'sub_mean\.bias=.*mean of DIV2K'):
        edsr_weights(weights)


# ----------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    'cfg, text',
    [
        (dict(), 'has neither `arch`.* nor a file'),
        (dict(init_cfg=None), 'has neither `arch`'),
        (dict(arch='SPNA'), "arch='SPNA' is no network of .* It has SPAN, "),
        (dict(arch='Compact', width=3), "'width'. Its options are num_in_ch"),
        (dict(arch='Compact', num_in_ch=1), 'num_in_ch=1: SR networks'),
        (dict(arch='DnCNN', in_nc=1, out_nc=1), 'in_nc=1: SR networks'),
        (dict(arch='LaMa'), 'LaMa.* is for Inpainting'),
    ],
)
def test_wrong_options(cfg, text):
    with pytest.raises(ValueError, match=text):
        build_sr_net(dict(type='sr4ir_mm.Spandrel', **cfg))


def test_a_file_of_something_else(tmp_path):
    path = write(tmp_path / 'a.pth', {'a.weight': torch.ones(2)})
    text = r'a\.pth: spandrel knows no network of such weights \(a\.weight\)'
    with pytest.raises(ValueError, match=text):
        read_network(path)
    torch.save([1], path)
    with pytest.raises(ValueError, match=r'such weights \(none\)'):
        read_network(path)


@pytest.mark.parametrize(
    'content, text',
    [
        (b'PK nothing', r'damaged, cut off.*give a file that can be read'),
        (None, r'can not be found.*give a file that is there'),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, content, text):
    path = tmp_path / 'a.pth'
    if content:
        path.write_bytes(content)
    with pytest.raises(RuntimeError, match=text):
        read_network(str(path))


def test_a_file_of_grey_images(tmp_path):
    """It is refused when a config is made, not when it trains; but by one of
    grey images."""
    grey = build('Compact', num_in_ch=1, num_out_ch=1)
    path = write(tmp_path / 'a.pth', grey.network.state_dict())
    with pytest.raises(ValueError, match='num_in_ch=1: .*of 3 channels'):
        wrap(Config(ConfigDict(SMALL)), sr_net=path)
    bands = dict(number=1)
    cfg = wrap(Config(ConfigDict(SMALL)), sr_net=path, bands=bands)
    network = build_sr_net(cfg.model.sr_net, read_bands(bands))
    network.load_state_dict(grey.state_dict())


# ------------------------------------------------------------------- bands


def test_a_network_without_default_channels_takes_bands():
    cfg = dict(type='sr4ir_mm.Spandrel', arch='SPAN', feature_channels=8)
    for number in (1, 3, 4):
        network = build_sr_net(cfg, read_bands(dict(number=number)))
        assert network.network.in_channels == number


# Whatever their options, these are for RGB inside.
RGB_ALONE = ('RCAN', 'PLKSR', 'SAFMN')


@EVERY
@pytest.mark.parametrize('number', [1, 4])
def test_other_bands(arch, number):
    cfg = dict(type='sr4ir_mm.Spandrel', arch=arch, **NETWORKS[arch])
    bands = read_bands(dict(number=number))
    if arch in RGB_ALONE:
        with pytest.raises(ValueError, match=f'{arch}.*{number}.*EDSRNet'):
            build_sr_net(cfg, bands)
        return
    network = build_sr_net(cfg, bands).eval()
    with torch.no_grad():
        sr = network(torch.rand(1, number, 16, 16))
    assert sr.shape == (1, number, 64, 64)


@pytest.mark.parametrize('arch', ['Compact', 'SwinIR', 'SwinIRNet'])
def test_rgb_weights_for_other_bands(arch):
    """Equal bands look like a grey image of the mean that the network
    subtracts, and are made of it."""
    if arch == 'SwinIRNet':
        cfg = SWINIR
    else:
        cfg = dict(type='sr4ir_mm.Spandrel', arch=arch, **NETWORKS[arch])
    rgb = build_sr_net(cfg).eval()
    bands = read_bands(dict(number=6))
    network = build_sr_net(cfg, bands).eval()
    network.load_state_dict(rgb.state_dict())
    inner = getattr(rgb, 'network', rgb)
    if hasattr(inner, 'mean'):
        inner.mean = inner.mean.mean().expand(1, 3, 1, 1)
    grey = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        expected = rgb(grey.repeat(1, 3, 1, 1))
        found = network(grey.repeat(1, 6, 1, 1))
    torch.testing.assert_close(found, expected.repeat(1, 2, 1, 1))


def test_a_network_that_does_not_enlarge(tmp_path):
    """LR would be HR; unless something else is done to it."""
    path = write(
        tmp_path / 'a.pth', build('SPAN', upscale=1).network.state_dict()
    )
    model = load(from_file(path), scale=1)
    with pytest.raises(ValueError, match='model.scale=1: .* LR is HR'):
        model.make_views(make_batch())['lr']
    noise = dict(type='sr4ir_mm.GaussianNoise', std=(3, 5))
    blurred = load(from_file(path), scale=1, degradation=[noise, BICUBIC])
    views = blurred.make_views(make_batch())
    assert views['sr'].shape == views['hr'].shape
    assert not torch.equal(views['lr'], views['hr'])


def test_another_scale_than_the_models(tmp_path):
    source = build('SPAN', upscale=2)
    path = write(tmp_path / 'a.pth', source.network.state_dict())
    views = load(from_file(path)).make_views(make_batch())
    with pytest.raises(ValueError, match=r'larger by model\.scale=4'):
        views['sr']


def test_without_spandrel(monkeypatch):
    """It is missed where it is asked for, and nowhere else."""
    monkeypatch.setitem(sys.modules, 'spandrel', None)
    assert by_name(SR_NET) is SR_NET and build_sr_net(SR_NET)
    with pytest.raises(ImportError, match='Spandrel needs.*`pip install spa'):
        build_sr_net(dict(type='sr4ir_mm.Spandrel', arch='SPAN'))


# ------------------------------------------------------------------ configs


@pytest.mark.parametrize('name', ['span', 'compact', 'compact_small'])
@pytest.mark.parametrize('scale', [2, 4, 8])
def test_shipped_networks(name, scale):
    """Of the published sizes; from random weights, they start on pixels."""
    cfg = wrap(Config(ConfigDict(SMALL)), sr_net=f'{name}_x{scale}')
    assert cfg.model.scale == scale
    assert cfg.model.phases[0].name == 'pixels'
    network = load(cfg.model.sr_net).sr_net.eval()
    with torch.no_grad():
        sr = network(torch.rand(1, 3, 8, 9))
    assert sr.shape == (1, 3, 8 * scale, 9 * scale)
    sizes = dict(span=426_288, compact=621_424, compact_small=52_968)
    # once trained: SPAN has branches more, which it then merges
    params = [
        param.numel()
        for key, param in network.named_parameters()
        if '.sk.' not in key and '.conv.' not in key
    ]
    if scale == 4:
        assert sum(params) == sizes[name]
