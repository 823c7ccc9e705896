import copy

import numpy as np
import pytest
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.optim import OptimWrapper
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS
from tiny import (
    JOINT,
    SEGMENTOR,
    SR4IR,
    SR_NET,
    TASKS,
    build_model,
    make_batch,
    moved,
    snapshot,
)

from sr4ir_mm import registry
from sr4ir_mm.engine import PhaseUpdate
from sr4ir_mm.models.views import Views


@MODELS.register_module()
class PickyHead(FCNHead):
    """As many heads of the toolboxes, it computes losses in train mode only;
    and, as some do, it draws from NumPy."""

    def loss_by_feat(self, *args):
        if not self.training:
            raise TypeError('not for now')
        np.random.rand()
        return super().loss_by_feat(*args)


PICKY_SEGMENTOR = dict(
    SEGMENTOR, decode_head=dict(SEGMENTOR['decode_head'], type='PickyHead')
)


def train_phase(model, phase, progress=0.5, task='seg'):
    """One step of a phase, as the loop takes it; returns its log."""
    views = model.make_views(make_batch(task))
    networks = [model.networks[name] for name in phase.trains]
    parameters = [p for n in networks for p in n.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    update = PhaseUpdate(phase, [OptimWrapper(optimizer)])
    return update(model, views, progress)


@pytest.mark.parametrize('task', TASKS)
def test_phase_sr_moves_the_sr_network_alone(task):
    model = build_model(task)
    sr_net, task_model = (snapshot(n) for n in model.networks.values())
    log = train_phase(model, model.phases[0], task=task)
    assert set(log) == {'loss', 'loss_pixel', 'loss_tdp'}
    assert log['loss_tdp'] > 0
    assert set(moved(model.sr_net, sr_net)) == set(sr_net)
    assert not moved(model.task_model, task_model)
    assert all(p.grad is None for p in model.task_model.parameters())


@pytest.mark.parametrize('task', TASKS)
def test_phase_task_moves_the_task_model_alone(task):
    model = build_model(task)
    sr_net, task_model = (snapshot(n) for n in model.networks.values())
    log = train_phase(model, model.phases[1], task=task)
    assert set(log) == {'loss'} | {
        f'{view}.{name}'
        for view in ('sr', 'hr', 'cqmix')
        for name in TASKS[task]['losses']
    }
    assert not moved(model.sr_net, sr_net)
    assert all(p.grad is None for p in model.sr_net.parameters())
    changed = moved(model.task_model, task_model)
    assert 'backbone.conv1.weight' in changed
    assert 'backbone.bn1.running_mean' in changed
    assert model.task_model.backbone.bn1.num_batches_tracked == 3


def test_joint_phase_moves_both():
    model = build_model(phases=JOINT)
    sr_net, task_model = (snapshot(n) for n in model.networks.values())
    train_phase(model, model.phases[0])
    assert moved(model.sr_net, sr_net)
    assert moved(model.task_model, task_model)


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('phase', [0, 1])
def test_frozen_stages_stay_frozen(task, phase):
    task_model = copy.deepcopy(TASKS[task]['model'])
    task_model['backbone']['frozen_stages'] = 1
    model = build_model(task, task_model=task_model)
    before = snapshot(model.task_model.backbone)
    train_phase(model, model.phases[phase], task=task)
    changed = moved(model.task_model.backbone, before)
    assert not any(k.startswith(('conv1', 'bn1', 'layer1')) for k in changed)
    assert any(k.startswith('layer2') for k in changed) == (phase == 1)


def test_tdp_sets_in_at_its_time():
    model = build_model()
    assert 'loss_tdp' not in train_phase(model, model.phases[0], 0.09)
    assert 'loss_tdp' in train_phase(model, model.phases[0], 0.1)


def test_task_phase_records_no_graph_through_the_sr_network():
    model = build_model()
    views = model.make_views(make_batch())
    with model.in_phase(model.phases[1], views):
        assert not views['sr'].requires_grad
        assert not views['cqmix'].requires_grad


def test_everything_is_trainable_again_after_a_phase():
    model = build_model()
    train_phase(model, model.phases[0])
    assert all(p.requires_grad for p in model.parameters())


def test_rehearsal_leaves_no_trace():
    model = build_model(task_model=PICKY_SEGMENTOR)
    before, rng = snapshot(model), torch.get_rng_state()
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    model.rehearse(model.make_views(make_batch()))
    assert not moved(model, before)
    assert torch.equal(torch.get_rng_state(), rng)
    assert np.random.rand() == expected
    assert model.training and model.task_model.backbone.bn1.training


def test_task_model_that_computes_losses_in_train_mode_only():
    """Fine in SR4IR, as above, but not behind a frozen task model."""
    loss = dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0))
    phases = [dict(name='sr', trains='sr_net', losses=[loss])]
    model = build_model(task_model=PICKY_SEGMENTOR, phases=phases)
    with pytest.raises(RuntimeError, match='fails in eval mode.*not for now'):
        model.rehearse(model.make_views(make_batch()))


def test_rehearsal_finds_what_only_a_later_phase_would():
    phases = copy.deepcopy(SR4IR)
    phases[0]['losses'][1].update(taps=[7], begin=0.9)
    model = build_model(phases=phases)
    with pytest.raises(ValueError, match='no feature map 7'):
        model.rehearse(model.make_views(make_batch()))


def test_rehearsal_finds_losses_that_collide_later():
    pixel = dict(type='sr4ir_mm.PixelLoss')
    losses = [pixel, dict(pixel, criterion='l2', begin=0.5)]
    phases = [dict(name='sr', trains='sr_net', losses=losses)]
    model = build_model(phases=phases)
    with pytest.raises(ValueError, match="'sr' report 'loss_pixel'"):
        model.rehearse(model.make_views(make_batch()))


@pytest.mark.parametrize('view', ['sr', 'bilinear', 'hr'])
def test_predicts_from_the_configured_view(view):
    model = build_model(view=view).eval()
    batch = make_batch(num=1, size=(30, 37))
    with torch.no_grad():
        sample = model.test_step(batch)[0]
        views = Views(model, **model.data_preprocessor(batch, False))
        expected = model.task_model.predict(
            views.task_input(view), views.data_samples
        )[0]
    assert torch.equal(sample.pred_img, views[view][0, :, :30, :37])
    assert torch.equal(sample.gt_img, views['hr'][0, :, :30, :37])
    if view == 'sr':
        bilinear = views['bilinear'][0, :, :30, :37]
        assert torch.equal(sample.bilinear_img, bilinear)
    assert torch.equal(sample.seg_logits.data, expected.seg_logits.data)


def test_images_for_metrics_have_no_padding():
    task_model = copy.deepcopy(SEGMENTOR)
    task_model['data_preprocessor'].update(test_cfg=dict(size_divisor=16))
    model = build_model(task_model=task_model).eval()
    with torch.no_grad():
        sample = model.test_step(make_batch(num=1, size=(30, 37)))[0]
    assert sample.pred_img.shape == sample.gt_img.shape == (3, 30, 37)
    assert sample.pred_sem_seg.shape == (30, 37)


def test_tensor_mode():
    model = build_model().eval()
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 5, 8, 8)


@pytest.mark.parametrize('task,levels', [('seg', 2), ('det', 2), ('cls', 1)])
def test_feature_maps_as_the_toolboxes_ask_for_them(task, levels):
    maps = build_model(task).eval().extract_feat(torch.rand(1, 3, 32, 32))
    assert len(maps) == levels
    assert all(m.ndim == 4 for m in maps)


@pytest.mark.parametrize('size', [(32, 32), (30, 37)])
@pytest.mark.parametrize('task', TASKS)
def test_real_lr_input(task, size):
    """Its predictions are those of the SR image, in LR coordinates."""
    model = build_model(task, input_is_lr=True).eval()
    batch = make_batch(task, num=1, size=size)
    with torch.no_grad():
        sample = model.test_step(batch)[0]
        lr = batch['inputs'][0].flip(0)[None] / 255
        sr = model.sr_net(lr)
    torch.testing.assert_close(sample.pred_img, sr[0])
    assert 'gt_img' not in sample
    if task == 'seg':
        assert sample.pred_sem_seg.shape == size
    elif task == 'det':
        assert sample.img_shape == size
    else:
        expected = model.task_model.predict(
            model.image_space.from_image(sr, [tuple(sr.shape[2:])], sr)
        )[0]
        torch.testing.assert_close(sample.pred_score, expected.pred_score)


def test_real_lr_input_is_not_for_training():
    with pytest.raises(ValueError, match='input_is_lr'):
        build_model(input_is_lr=True).make_views(make_batch())


def test_plain_training_step_says_which_loop_to_take():
    model = build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match='AlternatingEpochTrainLoop'):
        model.train_step(make_batch(), OptimWrapper(optimizer))


def test_sr_network_loads_pretrained_weights(tmp_path):
    source = build_model(seed=1).sr_net
    path = str(tmp_path / 'edsr.pth')
    torch.save(
        dict(
            state_dict={
                f'generator.{k}': v for k, v in source.state_dict().items()
            }
        ),
        path,
    )
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='generator.')
    model = build_model(sr_net=dict(SR_NET, init_cfg=init_cfg))
    assert moved(model.sr_net, snapshot(source))
    model.init_weights()
    assert not moved(model.sr_net, snapshot(source))


@pytest.mark.parametrize('name', ['mmagic.MSRResNet', 'sr4ir_mm.PlainSRNet'])
def test_any_sr_network_loads_pretrained_weights(tmp_path, name):
    """Also one whose own `init_weights` ignores `init_cfg`, or is missing."""
    from sr4ir_mm.models.sr_task_model import build_sr_net
    from sr4ir_mm.registry import MODELS

    @MODELS.register_module(force=True)
    class PlainSRNet(torch.nn.Conv2d):
        pass

    kwargs = dict(in_channels=3, out_channels=3)
    if name.startswith('mmagic'):
        kwargs.update(mid_channels=4, num_blocks=1)
    else:
        kwargs.update(kernel_size=1)
    weights = {
        key: torch.full_like(value, 7)
        for key, value in build_sr_net(dict(type=name, **kwargs))
        .state_dict()
        .items()
    }
    path = str(tmp_path / 'sr.pth')
    torch.save(dict(state_dict=weights), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    model = build_model(sr_net=dict(type=name, init_cfg=init_cfg, **kwargs))
    model = copy.deepcopy(model)  # as an EMA hook does
    model.init_weights()
    assert all((p == 7).all() for p in model.sr_net.parameters())


@pytest.mark.parametrize(
    'checkpoint,reason',
    [
        ('no/such.pth', 'no/such.pth can not be found'),
        ('http://127.0.0.1:9/edsr.pth', 'refused'),
    ],
)
def test_unreachable_weights_name_key_file_and_ways_out(checkpoint, reason):
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    model = build_model(sr_net=dict(SR_NET, init_cfg=init_cfg))
    with pytest.raises(RuntimeError) as info:
        model.init_weights()
    message = str(info.value)
    for part in (
        reason,
        f'model.sr_net.init_cfg: {checkpoint}',
        'init_cfg=None',
        'local file',
    ):
        assert part in message


@pytest.mark.parametrize('task', TASKS)
def test_missing_toolbox(monkeypatch, task):
    missing = TASKS[task]['scope']
    package = MODULE2PACKAGE[missing]  # a fork's, where the engine is one
    monkeypatch.setattr(
        registry,
        'find_spec',
        lambda name: None if name == missing else object(),
    )
    with pytest.raises(
        ImportError, match=f'{TASKS[task]["wrapper"]} needs {package}'
    ):
        build_model(task)


@pytest.mark.parametrize(
    'kwargs,message',
    [
        (dict(view='lowres'), r"model\.view='lowres': expected 'sr'"),
        (dict(view='lr'), r"model\.view='lr': expected 'sr'"),
        (dict(sr_net=None), 'sr_net'),
        (dict(scale=2.5), r'model\.scale=2\.5'),
        (dict(scale=0), r'model\.scale=0'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build_model(**kwargs)


def test_task_model_of_another_kind():
    """Self-supervised, retrieval, tracking ..."""
    task_model = dict(
        type='SimCLR',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss')),
    )
    with pytest.raises(
        ValueError, match='SimCLR: SRClassifier takes any Base'
    ):
        build_model('cls', task_model=task_model)


def test_batch_with_branches():
    with pytest.raises(ValueError, match='branches sup, unsup'):
        build_model('det').make_views(dict(inputs=dict(sup=[], unsup=[])))
