"""Every config parses, builds, trains one iteration and predicts."""

import glob

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from tiny import TASKS, make_batch

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


def make_small(model):
    """The networks as configured, but for the depth of the SR network and
    the size at which a detector looks."""
    if model.get('resize'):
        model.resize = (128, 96)
    if model.sr_net.type == 'mmagic.EDSRNet':
        model.sr_net.num_blocks = 1
    elif model.sr_net.type == 'mmagic.SwinIRNet':
        model.sr_net.update(depths=[1], num_heads=[6])


@pytest.mark.parametrize('path', CONFIGS)
def test_config_trains_and_predicts(path):
    cfg = Config.fromfile(path)
    Config.fromstring(cfg.pretty_text, '.py')  # as it is stored
    make_small(cfg.model)
    model, task = build(cfg)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    size = (224, 224) if task == 'cls' else (64, 64)
    views = model.make_views(make_batch(task, size=size))
    model.rehearse(views)
    for phase in model.phases:
        for progress in (0.0, 0.99):
            with model.in_phase(phase, views, progress):
                log = model.train_step(views, optim_wrapper[phase.trains[0]])
            assert all(
                torch.isfinite(torch.as_tensor(v)) for v in log.values()
            ), log
    model.eval()
    with torch.no_grad():
        sample = model.test_step(make_batch(task, num=1, size=size))[0]
    if task == 'seg':
        assert sample.pred_sem_seg.shape == size
    elif task == 'det':
        assert sample.pred_instances.bboxes.shape[1] == 4
    else:
        assert sample.pred_score.sum() == pytest.approx(1)
    assert sample.pred_img.shape == sample.gt_img.shape == (3, *size)


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
