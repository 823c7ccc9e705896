"""One call, or three lines of config, instead of the long form."""

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import Runner
from tiny import SR_NET, TASKS, make_batch, runner_cfg

from sr4ir_mm.apis import wrap

SEGFORMER = 'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'
RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
SWIN = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'
YOLOX = 'mmdet::yolox/yolox_s_8xb8-300e_coco.py'
RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
SSD = 'mmdet::ssd/ssd300_coco.py'
CONFIG = """
_base_ = {base!r}
from sr4ir_mm.apis import wrap
wrap(_base_)
train_dataloader = dict(batch_size=3)
"""
SMALL = dict(
    default_scope='mmseg',
    model=dict(type='EncoderDecoder'),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
    train_cfg=dict(by_epoch=True, max_epochs=1),
)
# what mmengine writes into what it reads of another package
STAMPS = ('_scope_', 'enable')


def plain(node):
    if isinstance(node, dict):
        return {k: plain(v) for k, v in node.items() if k not in STAMPS}
    if isinstance(node, (list, tuple)):
        return [plain(item) for item in node]
    return node


def kinds(pipeline):
    return [transform['type'] for transform in pipeline]


@pytest.fixture
def read(tmp_path):
    """Read three lines of config, and one that changes the result."""

    def _read(base):
        path = tmp_path / 'config.py'
        path.write_text(CONFIG.format(base=base))
        return Config.fromfile(path)

    return _read


@pytest.mark.parametrize(
    'base,recipe,long_form',
    [
        (SEGFORMER, 'sr4ir', 'sr4ir_segformer_mit-b0_ade20k_x4'),
        (RETINANET, 'sr4ir_fpn', 'sr4ir_retinanet_r50_coco_x4'),
        (SWIN, 'sr4ir', 'sr4ir_swin-tiny_imagenet_x4'),
    ],
)
def test_as_the_long_form(base, recipe, long_form):
    """But for the schedule: the long form shares one that suits both."""
    expected = plain(Config.fromfile(f'configs/{long_form}.py').to_dict())
    found = plain(wrap(base, recipe=recipe).to_dict())
    for key in ('sr_net', 'scale', 'phases', 'sr_optim_wrapper'):
        expected.pop(key)  # variables
    assert set(found) == set(expected)
    schedules = found.pop('param_scheduler'), expected.pop('param_scheduler')
    assert schedules[0]['task_model'] == schedules[1]
    heads = [c['model'].pop('decode_head', {}) for c in (found, expected)]
    assert heads[0].get('type') == heads[1].get('type')
    if base == SWIN:  # its long form has one rate for all, for its schedule
        for cfg in (found, expected):
            for key in ('type', 'paramwise_cfg'):
                cfg['optim_wrapper']['sr_net'].pop(key, None)
    assert found == expected


@pytest.mark.parametrize('base', [SEGFORMER, RETINANET, SWIN])
def test_three_lines_are_read_stored_and_inherited(read, tmp_path, base):
    cfg = read(base)
    assert cfg.train_dataloader.batch_size == 3
    assert cfg.model.task_model == wrap(base).model.task_model
    text = Config(cfg.to_dict(), format_python_code=False).pretty_text
    assert Config.fromstring(text, '.py').to_dict() == cfg.to_dict()
    leaf = tmp_path / 'leaf.py'
    leaf.write_text("_base_ = './config.py'\nmodel = dict(scale=2)\n")
    leaf = Config.fromfile(leaf)
    assert leaf.model.scale == 2
    assert leaf.model.sr_net == cfg.model.sr_net


@pytest.mark.parametrize('path', [YOLOX, RTMDET])
def test_detector_that_resizes_in_mosaics_and_pads(path):
    cfg = wrap(path)
    assert cfg.model.resize == (640, 640)
    assert cfg.model.task_model.data_preprocessor.pad_size_divisor == 32
    text = Config(cfg.to_dict(), format_python_code=False).pretty_text
    for kind in ('Resize', 'Mosaic', 'MixUp', 'RandomAffine', 'Pad'):
        names = (kind, f'Random{kind}', f'Cached{kind}')
        assert not any(f"type='{name}'" in text for name in names), kind
    assert 'RandomFlip' in text and 'YOLOXHSVRandomAug' in text


def test_random_choices_stay_choices():
    """DETR crops every other image."""
    cfg = wrap('mmdet::detr/detr_r50_8xb2-150e_coco.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    (choice,) = [t for t in pipeline if t.type == 'RandomChoice']
    assert [kinds(option) for option in choice.transforms] == [
        [],
        ['RandomCrop'],
    ]
    init_default_scope('mmdet')
    choose = TRANSFORMS.build(choice)
    results = dict(img=np.zeros((600, 800, 3)), img_shape=(600, 800))
    shapes = {choose(dict(results))['img'].shape for _ in range(20)}
    assert (600, 800, 3) in shapes and len(shapes) > 1


def test_pixels_outside_of_images_without_normalisation():
    preprocessor = wrap(YOLOX).model.task_model.data_preprocessor
    assert preprocessor.pad_value == 114


def test_detector_that_distorts_images_keeps_its_pipelines():
    cfg = wrap(SSD)
    assert 'resize' not in cfg.model
    assert 'Resize' in kinds(cfg.test_dataloader.dataset.pipeline)


def test_resize_can_be_named_or_left_alone():
    assert wrap(RETINANET, resize=(640, 480)).model.resize == (640, 480)
    cfg = wrap(RETINANET, resize=None)
    assert cfg.model.resize is None
    assert 'Resize' in kinds(cfg.train_dataloader.dataset.pipeline)


def test_sr_net_recipe_and_scale():
    cfg = wrap(SEGFORMER, 'swinir_x8', 'joint', cqmix=dict(type='x'))
    assert (cfg.model.sr_net.type, cfg.model.scale) == ('mmagic.SwinIRNet', 8)
    assert cfg.model.phases[0].name == 'joint' and cfg.model.cqmix.type == 'x'
    cfg = wrap(SEGFORMER, dict(type='mmagic.SRCNNNet'), scale=3)
    assert (cfg.model.sr_net.type, cfg.model.scale) == ('mmagic.SRCNNNet', 3)
    assert cfg.optim_wrapper.sr_net.optimizer.type == 'AdamW'
    cfg = wrap(SEGFORMER, None, 'l2t')
    assert cfg.model.view == 'bilinear' and cfg.model.sr_net is None
    assert set(cfg.optim_wrapper) == {'constructor', 'task_model'}
    assert set(cfg.param_scheduler) == {'task_model'}
    path = 'configs/_base_/sr_nets/edsr_toy_x4.py'
    assert wrap(SEGFORMER, path).model.sr_net.mid_channels == 16


def test_lowest_rate_of_the_sr_network_is_zero():
    cfg = wrap('mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py')
    schedules = cfg.param_scheduler
    assert schedules.task_model[0].eta_min == 1e-4
    assert schedules.sr_net[0].eta_min == 0


def test_weights_are_those_of_the_task_model():
    cfg = wrap(Config(dict(SMALL, load_from='detector.pth')))
    assert cfg.load_from is None
    expected = dict(type='Pretrained', checkpoint='detector.pth')
    assert cfg.model.task_model.init_cfg == expected
    assert 'checkpoint' in cfg.model.sr_net.init_cfg


def test_mixing_images_needs_one_size():
    path = (
        'mmdet::simple_copy_paste/mask-rcnn_r50_fpn_rpn-2conv_4conv1fc_'
        'syncbn-all_32xb2-ssj-scp-90k_coco.py'
    )
    dataset = wrap(path).train_dataloader.dataset
    assert kinds(dataset.pipeline) == ['PackDetInputs']
    assert 'RandomCrop' in kinds(dataset.dataset.pipeline)


@pytest.mark.parametrize(
    'change,message',
    [
        (dict(optim_wrapper=None), 'has no optim_wrapper, so it is not for'),
        (dict(default_scope='mmyolo'), "default_scope='mmyolo': expected"),
        (dict(model=dict(type='sr4ir_mm.SRSegmentor')), 'SRSegmentor already'),
        (dict(train_cfg=dict(type='MyLoop')), "train_cfg.type='MyLoop'"),
    ],
)
def test_what_cannot_be_wrapped(change, message):
    with pytest.raises(ValueError, match=message):
        wrap(Config({**SMALL, **change}))


@pytest.mark.parametrize('what', ['sr_net', 'recipe'])
def test_unknown_file(what):
    with pytest.raises(FileNotFoundError, match="'x'.*configs/_base_/"):
        wrap(SEGFORMER, **{what: 'x'})


@pytest.mark.parametrize('task', ['seg', 'det', 'cls'])
def test_wrapped_config_trains(tmp_path, toy_dataset, task):
    cfg = runner_cfg(tmp_path, toy_dataset, task)
    cfg['model'] = TASKS[task]['model']
    cfg['optim_wrapper'] = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)
    )
    cfg['train_cfg'] = dict(by_epoch=True, max_epochs=1)
    cfg['param_scheduler'] = dict(type='CosineAnnealingLR', eta_min=1e-3)
    cfg = wrap(Config(ConfigDict(cfg)), SR_NET, scale=4)
    runner = Runner.from_cfg(cfg)
    runner.train()
    scopes = TASKS[task]['scope']
    init_default_scope(scopes)
    # the checkpoint has all that it takes to build the model again
    stored = Config.fromstring(cfg.pretty_text, '.py')
    model = MODELS.build(stored.model).eval()
    model.load_state_dict(runner.model.state_dict())
    assert len(model.test_step(make_batch(task))) == 2


def test_degradation_by_name():
    cfg = wrap(SEGFORMER, degradation='real_esrgan')
    file = 'configs/_base_/degradations/real_esrgan.py'
    expected = Config.fromfile(file).degradation
    assert plain(cfg.model.degradation) == plain(expected)
    steps = [dict(type='sr4ir_mm.Bicubic', antialias=True)]
    cfg = wrap(SEGFORMER, degradation=steps)
    assert plain(cfg.model.degradation) == steps
    with pytest.raises(FileNotFoundError, match="'fog', nor .*degradations"):
        wrap(SEGFORMER, degradation='fog')
