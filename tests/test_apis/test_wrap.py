"""One call, or three lines of config, instead of the long form."""

import copy
import functools

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import Runner
from tiny import (
    SR_NET,
    TASKS,
    make_batch,
    moved,
    runner_cfg,
    snapshot,
)

from sr4ir_mm.apis import shorten, wrap
from sr4ir_mm.apis.schedule import shorten_by
from sr4ir_mm.utils.bands import PHOTOMETRIC

SEGFORMER = 'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'
RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
SWIN = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'
YOLOX = 'mmdet::yolox/yolox_s_8xb8-300e_coco.py'
RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
SSD = 'mmdet::ssd/ssd300_coco.py'
TSR = 'configs/ablations/t2s-tdp_deeplabv3_voc_x8.py'
CONFIG = """
_base_ = {base!r}
from sr4ir_mm.apis import wrap
wrap(_base_, recipe='sr4ir')
train_dataloader = dict(batch_size=3)
"""
SMALL = dict(
    default_scope='mmseg',
    model=dict(type='EncoderDecoder'),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
    train_cfg=dict(by_epoch=True, max_epochs=1),
)
PIXELS = dict(type='sr4ir_mm.PixelLoss')
# what mmengine writes into what it reads of another package
STAMPS = ('_scope_', 'enable')


@functools.lru_cache(maxsize=None)
def read_once(path):
    return Config.fromstring(f'_base_ = {path!r}', '.py')


def base(path):
    """A toolbox's config, to work on; reading one takes a second."""
    return copy.deepcopy(read_once(path))


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
    assert wrap(base).model.phases[0].losses == [PIXELS]
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


def test_a_base_that_imports_too():
    """As `_base_/plugin.py` does, and a base with modules of one's own."""
    cfg = Config(copy.deepcopy(SMALL))
    cfg.custom_imports = dict(imports=['sr4ir_mm', 'json'])
    wrap(cfg)
    assert cfg.custom_imports == dict(imports=['sr4ir_mm', 'json'])


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


@pytest.mark.parametrize('path', [SEGFORMER, RETINANET, SWIN])
def test_images_of_bands(path):
    """Everything that the bands need follows from them."""
    before = kinds(base(path).train_dataloader.dataset.pipeline)
    assert set(before) & set(PHOTOMETRIC) or path == RETINANET
    cfg = wrap(base(path), bands=dict(number=4, range=65535))
    raster = dict(type='sr4ir_mm.LoadRasterFromFile')
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.pipeline[0] == raster
        steps = kinds(dataset.pipeline)
        assert not set(steps) & set(PHOTOMETRIC)
        if path == SEGFORMER:
            at = steps.index('LoadAnnotations')
            assert steps[at + 1] == 'sr4ir_mm.IgnoreNodata'
    init_default_scope(cfg.default_scope)
    cfg.model.sr_net = dict(SR_NET)
    for part in (cfg.model, cfg.model.task_model):
        part.pop('pretrained', None)
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor'))
    )
    assert model.bands.number == 4 and model.image_space.is_rgb
    found = model.image_space.to_image(
        torch.zeros(1, 4, 32, 32), [(32, 32)], 4
    )
    torch.testing.assert_close(found, torch.full_like(found, 0.45))
    size = 224 if path == SWIN else 32
    with torch.no_grad():
        maps = model.eval().extract_feat(torch.zeros(1, 4, *[size] * 2))
    assert all(one.isfinite().all() for one in maps)


def test_no_data_in_test_time_augmentation():
    """Its lists are of what to try, one after the other."""
    cfg = wrap(base(SEGFORMER), bands=dict(number=4, range=65535))
    (transform,) = (t for t in cfg.tta_pipeline if t.type == 'TestTimeAug')
    steps = list(map(kinds, transform.transforms))
    at = steps.index(['LoadAnnotations'])
    assert steps[at + 1 :] == [['sr4ir_mm.IgnoreNodata'], ['PackSegInputs']]
    before = wrap(base(SEGFORMER)).tta_pipeline[-1].transforms
    assert len(steps) == len(before) + 1


def test_no_data_is_dark():
    cfg = wrap(base(SWIN), bands=dict(number=1, range=(-1024, 3071)))
    loader = cfg.train_dataloader.dataset.pipeline[0]
    assert loader == dict(type='sr4ir_mm.LoadRasterFromFile', fill=-1024)


def test_sr_net_recipe_and_scale():
    cfg = wrap(SEGFORMER, 'swinir_x8', 'joint', cqmix=dict(type='x'))
    assert (cfg.model.sr_net.type, cfg.model.scale) == (
        'sr4ir_mm.SwinIRNet',
        8,
    )
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


@pytest.mark.parametrize(
    'option, name, nearest',
    [
        ('sr_net', 'edsr_x5', 'sr_nets: edsr_x'),
        ('sr_net', 'swinr_x2', 'sr_nets: swinir_x2, '),
        ('recipe', 'onebatch', 'recipes: one_batch, one_batch_tdp, '),
        ('recipe', 'S2T', 'recipes: .*s2t'),
        ('degradation', 'esrgan', 'degradations: real_esrgan, mixture_'),
    ],
)
def test_unknown_name(option, name, nearest):
    """Those that there are, nearest first."""
    with pytest.raises(FileNotFoundError, match=f"'{name}', nor .*{nearest}"):
        wrap(base(SEGFORMER), **{option: name})


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
    cfg = wrap(base(SEGFORMER), degradation='real_esrgan')
    file = 'configs/_base_/degradations/real_esrgan.py'
    expected = Config.fromfile(file).degradation
    assert plain(cfg.model.degradation) == plain(expected)
    steps = [dict(type='sr4ir_mm.Bicubic', antialias=True)]
    cfg = wrap(base(SEGFORMER), degradation=steps)
    assert plain(cfg.model.degradation) == steps


@pytest.mark.parametrize('name', ['edsr', 'swinir'])
@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_sr_nets_of_each_scale(name, scale):
    model = wrap(base(SEGFORMER), f'{name}_x{scale}').model
    assert model.scale == scale and len(model.phases) == 2
    file = model.sr_net.pop('init_cfg').checkpoint
    assert f'_x{min(scale, 4)}' in file and name in file
    model.sr_net.update(
        dict(num_blocks=1)
        if name == 'edsr'
        else dict(depths=[1], num_heads=[6], embed_dim=60)
    )
    with torch.no_grad():
        sr = MODELS.build(model.sr_net)(torch.rand(1, 3, 8, 16))
    assert sr.shape == (1, 3, 8 * scale, 16 * scale)


# ---------------------------------------------------------------- schedules


def spans(cfg, name):
    """When each schedule of a network begins and ends."""
    return [
        (s.get('begin', 0), s.get('end'), s.get('after_epochs', 0))
        for s in cfg.param_scheduler[name]
    ]


def when(cfg):
    return [
        (phase.name, phase.get('begin', 0), phase.get('end', 1))
        for phase in cfg.model.phases
    ]


def test_each_network_gets_the_whole_schedule():
    """Of one in iterations, of one in epochs whose warm-up is in iterations,
    and of hooks."""
    cfg = wrap(base(SEGFORMER), recipe='s2t')
    assert cfg.train_cfg.max_iters == 320000
    assert spans(cfg, 'sr_net') == [(0, 1500, 0), (1500, 160000, 0)]
    assert spans(cfg, 'task_model') == [
        (160000, 161500, 0),
        (161500, 320000, 0),
    ]
    cfg = wrap(base(RETINANET), recipe='t2s')
    assert cfg.train_cfg.max_epochs == 24
    assert spans(cfg, 'task_model') == [(0, 500, 0), (0, 12, 0)]
    assert spans(cfg, 'sr_net') == [(0, 500, 12), (12, 24, 0)]
    assert cfg.param_scheduler.sr_net[1].milestones == [8, 11]
    cfg = wrap(base(RTMDET), recipe='s2t')
    assert cfg.custom_hooks[1].switch_epoch == 300 + 280
    assert cfg.train_cfg.dynamic_intervals == [(300 + 280, 1)]
    one = wrap(base(RTMDET), recipe='joint')
    assert one.train_cfg.max_epochs == 300


def test_schedules_without_an_end_keep_theirs():
    """mmengine fills in that of the whole training."""
    cosine = dict(type='CosineAnnealingLR', by_epoch=True)
    small = dict(SMALL, param_scheduler=cosine)
    small['train_cfg'] = dict(by_epoch=True, max_epochs=5)
    cfg = wrap(Config(small), recipe='s2t')
    assert spans(cfg, 'sr_net') == [(0, 5, 0)]
    schedule = cfg.param_scheduler.task_model
    assert (schedule.begin, schedule.end) == (5, 10)


def test_shorter_in_proportion():
    cfg = wrap(base(SEGFORMER), iters=1600)
    loop, hooks = cfg.train_cfg, cfg.default_hooks
    assert (loop.max_iters, loop.val_interval) == (1600, 160)
    assert hooks.checkpoint.interval == 160 and hooks.logger.interval == 50
    assert spans(cfg, 'task_model') == [(0, 15, 0), (15, 1600, 0)]
    cfg = wrap(base(RETINANET), epochs=3)
    assert spans(cfg, 'sr_net') == [(0, 125, 0), (0, 3, 0)]
    steps = cfg.param_scheduler.sr_net[1]
    assert steps.milestones == [2, 2.75] and steps.convert_to_iter_based
    cfg = wrap(base(RTMDET), epochs=30, recipe='s2t')
    assert cfg.train_cfg.max_epochs == 60
    assert cfg.custom_hooks[1].switch_epoch == 30 + 28
    assert cfg.param_scheduler.task_model[1].T_max == 15
    assert spans(cfg, 'task_model') == [(0, 100, 30), (45, 60, 0)]
    cfg = wrap(base(RETINANET), epochs=24)  # or longer
    assert cfg.param_scheduler.task_model[1].milestones == [16, 22]


@pytest.mark.parametrize(
    'length, message',
    [
        (dict(iters=3), r'max_epochs=12: give epochs alone'),
        (dict(epochs=3, iters=3), r'give epochs alone'),
        (dict(epochs=0), r'epochs=0: expected a whole number'),
        (dict(epochs=1.5), r'epochs=1.5: expected a whole number'),
    ],
)
def test_lengths_that_are_none(length, message):
    with pytest.raises(ValueError, match=message):
        wrap(base(RETINANET), **length)


def test_budget_shortens_shipped_configs():
    """Whole epochs of a stage, and the rates' periods in proportion."""
    cfg = Config.fromfile('configs/sr4ir_deeplabv3_voc_x4.py')
    shorten_by(cfg, 0.051)
    assert cfg.train_cfg.max_epochs == 5
    assert cfg.param_scheduler.sr_net.periods == [0.5, 4.5]
    assert cfg.param_scheduler.sr_net.end == 5
    for recipe in ('t2s', 's2t'):
        cfg = Config.fromfile(f'configs/baselines/{recipe}_resnet18_cub_x4.py')
        shorten_by(cfg, 0.0076)  # 1.52 epochs a stage
        assert cfg.train_cfg.max_epochs == 4
        parts = sorted(
            (s.get('begin', 0), s.end) for s in cfg.param_scheduler.values()
        )
        assert parts == [(0, 2), (2, 4)]
    cfg = shorten(Config.fromfile('configs/toy/sr4ir_unet_toy_x4.py'), iters=8)
    assert cfg.train_cfg.max_iters == 8
    warmup, cosine = cfg.param_scheduler.sr_net
    assert (warmup.end, cosine.begin, cosine.T_max, cosine.end) == (1, 1, 7, 8)
    assert cfg.default_hooks.checkpoint.interval == 50  # but for the last
    for path in ('configs/baselines/s2t_faster-rcnn_voc_x4.py', TSR):
        cfg = Config.fromfile(path)
        assert shorten_by(copy.deepcopy(cfg), 1).to_dict() == cfg.to_dict()


# ---------------------------------------------------------- start on pixels


def test_sr_network_without_weights_starts_on_pixels():
    cfg = wrap(base(SEGFORMER), SR_NET, recipe='sr4ir')
    assert when(cfg) == [('pixels', 0, 0.5), ('sr', 0.5, 1), ('task', 0.5, 1)]
    assert cfg.model.phases[0].losses == [PIXELS]
    assert cfg.model.phases[1].losses[1].begin == 0.55
    assert cfg.train_cfg.max_iters == 320000
    assert spans(cfg, 'sr_net') == [(0, 3000, 0), (3000, 320000, 0)]
    assert spans(cfg, 'task_model')[0] == (160000, 161500, 0)
    # S -> T begins so; weights may be those of a part; h2t has none
    for sr_net, recipe in (
        (SR_NET, 's2t'),
        ('liif-edsr_x4', 'one_batch'),
        (None, 'h2t'),
        (SR_NET, 'sr'),
    ):
        phases = wrap(base(SEGFORMER), sr_net, recipe).model.phases
        assert 'pixels' not in {phase.name for phase in phases}
    cfg = wrap(base(SEGFORMER), SR_NET, 't2s')
    third = pytest.approx(1 / 3)
    assert [phase.get('end', 1) for phase in cfg.model.phases][0] == third
    assert cfg.train_cfg.max_iters == 3 * 160000
    assert spans(cfg, 'task_model')[1] == (161500, 320000, 0)


def test_the_task_network_does_not_run_on_pixels(tmp_path, toy_dataset):
    """Once, in the dry run of all losses; then after the start."""
    cfg = runner_cfg(tmp_path, toy_dataset)
    cfg['model'] = TASKS['seg']['model']
    cfg['optim_wrapper'] = cfg['optim_wrapper']['task_model']
    cfg['train_cfg'] = dict(by_epoch=True, max_epochs=1)
    cfg = wrap(Config(ConfigDict(cfg)), SR_NET, scale=4)
    assert cfg.train_cfg.max_epochs == 2
    runner = Runner.from_cfg(cfg)
    ran, task_model = [], runner.model.task_model
    task_model.backbone.register_forward_hook(
        lambda *_: ran.append(runner.iter)
    )
    before = snapshot(task_model)
    runner.model.rehearse = lambda views: None
    runner.train()
    assert set(ran) == {4, 5, 6, 7} and moved(task_model, before)


def test_s_for_a_task_network_that_stays(tmp_path):
    cfg = Config.fromfile(TSR)
    expected = Config.fromfile('configs/sr4ir_deeplabv3_voc_x8.py')
    assert cfg.model.phases[0].losses[1] == dict(type='sr4ir_mm.TDPLoss')
    assert cfg.model.sr_net == expected.model.sr_net
    cfg = wrap(Config(dict(SMALL, load_from='T.pth')), recipe='tdp')
    assert when(cfg) == [('sr', 0, 1)]
    assert cfg.model.task_model.init_cfg.checkpoint == 'T.pth'
    assert cfg.model.task_model.type == 'EncoderDecoder'
