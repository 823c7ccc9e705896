"""Every config parses, builds, trains one iteration and predicts."""

import copy
import glob
import os.path as osp
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from tiny import TASKS, make_batch
from torch.utils.data import DataLoader

from sr4ir_mm.engine import PhaseUpdate
from sr4ir_mm.engine.loops import _AlternatingLoop
from sr4ir_mm.models import frozen, sr_task_model
from sr4ir_mm.models.losses import perceptual_loss

CONFIGS = sorted(glob.glob('configs/*.py') + glob.glob('configs/*/*.py'))
CONFIGS = [path for path in CONFIGS if '_base_' not in path]


def num_params(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def build(cfg):
    """The model as the runner builds it, and its task."""
    (task,) = [t for t in TASKS if TASKS[t]['scope'] == cfg.default_scope]
    init_default_scope(cfg.default_scope)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return revert_sync_batchnorm(MODELS.build(cfg.model)), task


@pytest.fixture(scope='module')
def built():
    """Networks by their config: most configs have the same few."""
    return {}


@pytest.fixture
def fast(monkeypatch, built):
    """Networks are built once, and loss networks have random weights."""

    class Models:
        @staticmethod
        def build(cfg, **kwargs):
            key = repr(cfg)
            if key not in built:
                built[key] = MODELS.build(cfg, **kwargs)
            return copy.deepcopy(built[key])

    def load_frozen(network, *args, **kwargs):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.01)
        return network.eval().requires_grad_(False)

    monkeypatch.setattr(sr_task_model, 'MODELS', Models)
    monkeypatch.setattr(frozen, 'load_frozen', load_frozen)
    monkeypatch.setattr(perceptual_loss, 'load_frozen', load_frozen)


def make_small(model):
    """The networks as configured, but for the depth of the SR network and
    the size at which a detector looks."""
    if model.get('resize'):
        model.resize = (128, 96)
    if model.sr_net is None:
        return
    if model.sr_net.type == 'sr4ir_mm.EDSRNet':
        model.sr_net.num_blocks = 1
    elif model.sr_net.type == 'sr4ir_mm.SwinIRNet':
        heads = model.sr_net.num_heads[:1]
        model.sr_net.update(depths=[1], num_heads=heads)


@pytest.mark.parametrize('path', CONFIGS)
def test_config_trains_and_predicts(path, fast):
    cfg = Config.fromfile(path)
    # as it is stored, but for the line breaks, which take a second
    text = Config(cfg.to_dict(), format_python_code=False).pretty_text
    assert Config.fromstring(text, '.py').model == cfg.model
    make_small(cfg.model)
    model, task = build(cfg)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    assert set(optim_wrapper.keys()) == set(model.networks)
    runner = SimpleNamespace(_train_dataloader=DataLoader([0]))
    loop = Runner.build_train_loop(runner, cfg.train_cfg)
    assert isinstance(loop, _AlternatingLoop) and loop.max_iters > 1
    size = (224, 224) if 'imagenet' in path else (64, 64)
    if '/sr2/' in path:
        size = (32, 32)
    views = model.make_views(make_batch(task, size=size, bands=model.bands))
    model.rehearse(views)
    for phase in model.phases:
        wrappers = [optim_wrapper[name] for name in phase.trains]
        log = PhaseUpdate(phase, wrappers)(model, views, 0.99)
        assert all(torch.isfinite(torch.as_tensor(v)) for v in log.values()), (
            log
        )
        for name, network in model.networks.items():
            if name not in phase.trains:
                assert all(p.grad is None for p in network.parameters())
    model.eval()
    with torch.no_grad():
        batch = make_batch(task, num=1, size=size, bands=model.bands)
        sample = model.test_step(batch)[0]
    if task == 'seg':
        assert sample.pred_sem_seg.shape == size
    elif task == 'det':
        assert sample.pred_instances.bboxes.shape[1] == 4
    else:
        assert sample.pred_score.sum() == pytest.approx(1)
    shape = model.bands.number, *size
    assert sample.pred_img.shape == sample.gt_img.shape == shape


@pytest.mark.parametrize(
    'setup',
    ['deeplabv3_voc', 'faster-rcnn_voc', 'resnet18_cub', 'resnet18_cars'],
)
def test_there_are_23_experiments_of_each_data_set(setup):
    nets = ('x4', 'x8', 'x4_swinir', 'x8_swinir')
    names = [
        f'baselines/h2t_{setup}',
        *(f'baselines/l2t_{setup}_{scale}' for scale in ('x4', 'x8')),
        *(
            f'{recipe}_{setup}_{net}'
            for recipe in (
                'baselines/sr',
                'baselines/s2t',
                'baselines/t2s',
                'baselines/joint',
                'sr4ir',
            )
            for net in nets
        ),
    ]
    assert len(names) == 23
    for name in names:
        cfg = Config.fromfile(f'configs/{name}.py')
        scale = name[name.index('_x') :][1:3] if '_x' in name else 'x4'
        assert cfg.model.scale == int(scale[1])
        net = cfg.model.sr_net and cfg.model.sr_net.type.lower()
        assert net is None or ('swinir' in net) == ('swinir' in name)
        assert cfg.model.get('view', 'sr') == (
            dict(h2t='hr', l2t='bilinear').get(osp.basename(name)[:3], 'sr')
        )


@pytest.mark.parametrize(
    'name,sr_net',
    [
        ('x4', 1_517_571),
        ('x8', 1_665_283),
        ('x4_swinir', 11_900_199),
        ('x8_swinir', 12_047_911),
    ],
)
def test_flagship_has_the_papers_networks(name, sr_net):
    cfg = Config.fromfile(f'configs/sr4ir_deeplabv3_voc_{name}.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert num_params(model.sr_net) == sr_net
    assert num_params(model.task_model) == 11_029_328
    assert model.scale == int(name[1])


def test_flagship_has_the_papers_hyper_parameters():
    cfg = Config.fromfile('configs/sr4ir_deeplabv3_voc_x4.py')
    assert cfg.train_dataloader.batch_size * 8 == 16
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.sync_bn == 'torch'
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    optimizers = build_optim_wrapper(model, cfg.optim_wrapper)
    lrs = {
        name: {g['lr'] for g in optimizers[name].optimizer.param_groups}
        for name in ('sr_net', 'task_model')
    }
    assert lrs == dict(sr_net={1e-4, 1e-4 / 255}, task_model={0.02, 0.2})


def learning_rates(cfg, network, per_epoch):
    """The learning rate of each iteration of a training."""
    from mmengine.registry import PARAM_SCHEDULERS

    base = cfg.optim_wrapper[network].optimizer.lr
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=base)
    schedulers = cfg.param_scheduler[network]
    if not isinstance(schedulers, list):
        schedulers = [schedulers]
    schedulers = [
        PARAM_SCHEDULERS.build(
            scheduler,
            default_args=dict(optimizer=optimizer, epoch_length=per_epoch),
        )
        for scheduler in schedulers
    ]
    lrs = []
    for _ in range(cfg.train_cfg.max_epochs * per_epoch):
        lrs.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return lrs


@pytest.mark.parametrize(
    'setup,per_epoch,epochs,lr',
    [
        ('deeplabv3_voc', 92, 100, 0.02),
        ('resnet18_cub', 47, 200, 0.03),
    ],
)
def test_learning_rates_of_baselines(setup, per_epoch, epochs, lr):
    """One period for each network, from where it is trained."""
    half = epochs * per_epoch
    cosine = (lr + 1e-4) / 2
    for recipe, begin in (('joint', 0), ('s2t', half), ('t2s', 0)):
        cfg = Config.fromfile(f'configs/baselines/{recipe}_{setup}_x4.py')
        lrs = learning_rates(cfg, 'task_model', per_epoch)
        assert len(lrs) == (half if recipe == 'joint' else 2 * half)
        assert lrs[0] == lrs[begin] == pytest.approx(lr)
        assert lrs[begin + half // 2] == pytest.approx(cosine)
        assert lrs[begin + half - 1] == pytest.approx(1e-4, rel=0.01)
    cfg = Config.fromfile(f'configs/baselines/t2s_{setup}_x4.py')
    lrs = learning_rates(cfg, 'sr_net', per_epoch)
    assert lrs[0] == lrs[half] == pytest.approx(1e-4)
    assert lrs[-1] == pytest.approx(1e-6, rel=0.01)


def test_both_stages_of_detection_warm_up():
    n = 357
    cfg = Config.fromfile('configs/baselines/s2t_faster-rcnn_voc_x8.py')
    lrs = learning_rates(cfg, 'task_model', n)
    assert len(lrs) == 60 * n
    assert lrs[30 * n] == pytest.approx(0.02 / n)
    assert lrs[30 * n + n // 2] == pytest.approx(0.01, rel=0.01)
    assert lrs[31 * n] == pytest.approx(0.02)
    assert lrs[46 * n] == pytest.approx((0.02 + 1e-4) / 2)
    lrs = learning_rates(cfg, 'sr_net', n)
    assert lrs[0] == pytest.approx(1e-4 / n)
    assert lrs[n] == pytest.approx(1e-4)
    # one of the period's 30 epochs was spent on warming up
    assert 1e-6 < lrs[30 * n - 1] < 2e-6
