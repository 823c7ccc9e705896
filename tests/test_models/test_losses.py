import copy

import pytest
import torch
from mmpretrain.models import BaseClassifier
from mmpretrain.registry import MODELS
from tiny import SEGMENTOR, TASKS, build_model, make_batch, moved, snapshot

from sr4ir_mm.models.losses import PixelLoss, TaskLoss, TDPLoss


@MODELS.register_module()
class PlainClassifier(BaseClassifier):
    """As those of timm and Hugging Face: no backbone, neck and head."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor=dict(type='ClsDataPreprocessor'))
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.conv(inputs).mean((2, 3))

    def extract_feat(self, inputs):
        return self.conv(inputs)


@pytest.fixture
def model():
    return build_model()


@pytest.fixture
def views(model):
    return model.make_views(make_batch())


@pytest.mark.parametrize(
    'criterion,expected',
    [
        ('l1', lambda d: d.abs().mean()),
        ('l2', lambda d: d.square().mean()),
    ],
)
def test_pixel_loss(model, views, criterion, expected):
    loss = PixelLoss(weight=0.5, criterion=criterion)(model, views)
    assert list(loss) == ['loss_pixel']
    torch.testing.assert_close(
        loss['loss_pixel'], 0.5 * expected(views['sr'] - views['hr'])
    )


def test_tdp_loss_is_the_distance_of_eval_features(model, views):
    loss = TDPLoss(taps=(0, -1), weights=(0.5, 2.0))(model, views)['loss_tdp']
    model.eval()
    sr = model.task_model.extract_feat(views.task_input('sr'))
    hr = model.task_model.extract_feat(views.inputs)
    expected = (
        0.5 * (sr[0] - hr[0]).abs().mean() + 2 * (sr[1] - hr[1]).abs().mean()
    )
    torch.testing.assert_close(loss, expected)


def pull(loss, views):
    """Norm of a loss's gradient at the SR image."""
    (gradient,) = torch.autograd.grad(loss, views['sr'], retain_graph=True)
    return gradient.norm()


@pytest.mark.parametrize('scale', [1.0, 1000.0])
def test_balanced_tdp_pulls_as_told_whatever_the_features(model, views, scale):
    pixel = pull(PixelLoss()(model, views)['loss_pixel'], views)
    found = TDPLoss(weights=[scale], balance=0.5)(model, views)
    torch.testing.assert_close(
        pull(found['loss_tdp'], views), 0.5 * pixel, rtol=1e-3, atol=0
    )
    plain = TDPLoss()(model, views)['loss_tdp']
    torch.testing.assert_close(
        found['loss_tdp'], found['tdp_weight'] * scale * plain
    )
    assert not found['tdp_weight'].requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_balanced_tdp_needs_no_gradient_in_a_dry_run(model, views):
    with torch.no_grad():
        assert list(TDPLoss(balance=1.0)(model, views)) == ['loss_tdp']


def test_tdp_loss_leaves_batch_norm_alone_and_runs_no_head(model, views):
    ran = []
    model.task_model.decode_head.register_forward_hook(
        lambda *_: ran.append(1)
    )
    before = snapshot(model.task_model)
    TDPLoss()(model, views)
    assert not moved(model.task_model, before)
    assert not ran
    assert model.task_model.training


def test_tdp_loss_keeps_no_graph_for_hr(model, views):
    with model.in_phase(model.phases[0], views):
        for view, has_graph in (('hr', False), ('sr', True)):
            (feature,) = model.features(views, view, [-1])
            assert feature.requires_grad == has_graph


def num_hooks(network):
    return sum(len(m._forward_hooks) for m in network.modules())


def test_tdp_loss_taps_a_module_by_its_name(model, views):
    """Equal to the feature map that the module makes, and nothing that comes
    after it runs."""
    late = []
    model.task_model.decode_head.conv_seg.register_forward_hook(
        lambda *_: late.append(1)
    )
    before = num_hooks(model.task_model)
    by_index = TDPLoss(taps=[0, 1])(model, views)
    by_name = TDPLoss(taps=['backbone.layer1', 'backbone.layer2'])
    # whose layout in memory is another, and so is the order of the sum
    torch.testing.assert_close(by_name(model, views), by_index)
    in_head = TDPLoss(taps=['decode_head.convs'], criterion='l2')
    assert in_head(model, views)['loss_tdp'] > 0
    assert not late
    assert model.task_model.training
    assert num_hooks(model.task_model) == before


@pytest.mark.parametrize(
    'tap,message',
    [
        ('decode_head.conv', "no module 'decode_head.conv'"),
        ('backbone', "'backbone' gives tuple, not a tensor"),
    ],
)
def test_tdp_tap_that_is_no_feature(model, views, tap, message):
    with pytest.raises(ValueError, match=message):
        TDPLoss(taps=[tap])(model, views)


def test_tdp_taps_are_a_list_of_one_kind():
    for taps in ([0, 'backbone'], [], 'backbone', -1):
        with pytest.raises(ValueError, match=r'TDPLoss\.taps=.* a list, of'):
            TDPLoss(taps=taps)


def test_tdp_tap_before_work_in_place(model, views):
    """The ReLU behind bn1, and the sum at the end of a block."""
    taps = ['backbone.bn1', 'backbone.layer1.0.bn2', 'backbone.layer2']
    together = model.features(views, 'hr', taps)
    for tap, feature in zip(taps, together):
        assert torch.equal(model.features(views, 'hr', [tap])[0], feature)


def test_tdp_tap_that_no_gradient_reaches():
    """Checkpointed blocks run without a graph at first."""
    task_model = copy.deepcopy(SEGMENTOR)
    task_model['backbone']['with_cp'] = True
    model = build_model(task_model=task_model)
    views = model.make_views(make_batch())
    with model.in_phase(model.phases[0], views):
        model.features(views, 'sr', ['backbone.layer1'])
        with pytest.raises(ValueError, match=r"layer1\.0\.bn1'.*with_cp"):
            model.features(views, 'sr', ['backbone.layer1.0.bn1'])


def test_tdp_of_a_backbone_with_a_single_map(model, views):
    expected = model.features(views, 'hr', [-1])
    extract = model.task_model.extract_feat
    model.task_model.extract_feat = lambda inputs: extract(inputs)[-1]
    for tap in (0, -1):
        (feature,) = model.features(views, 'hr', [tap])
        assert torch.equal(feature, expected[0])


def test_tdp_of_a_classifier_without_stages():
    model = build_model('cls', task_model=dict(type='PlainClassifier'))
    views = model.make_views(make_batch('cls'))
    with pytest.raises(ValueError, match='PlainClassifier .*modules instead'):
        TDPLoss()(model, views)
    assert TDPLoss(taps=['conv'])(model, views)['loss_tdp'] > 0


@pytest.mark.parametrize('views', [{}, ['sr', 'hr'], 'sr'])
def test_task_loss_needs_weights_of_views(views):
    with pytest.raises(ValueError, match=r'TaskLoss\.views=.*dict\(sr=1\.0\)'):
        TaskLoss(views)


@pytest.mark.parametrize('tap', [2, -3])
def test_tdp_tap_that_is_not_there(model, views, tap):
    with pytest.raises(ValueError, match=f'no feature map {tap}; .* has 2'):
        TDPLoss(taps=(tap,))(model, views)


def test_tdp_weights_must_match_taps():
    with pytest.raises(ValueError, match='2 weights for 1 taps'):
        TDPLoss(weights=(1, 1))


def test_task_loss_weighs_losses_and_nothing_else(model, views):
    model.eval()  # no dropout
    one = TaskLoss(views=dict(hr=1.0))(model, views)
    half = TaskLoss(views=dict(hr=0.5))(model, views)
    assert set(one) == {'hr.decode.loss_ce', 'hr.decode.acc_seg'}
    torch.testing.assert_close(
        half['hr.decode.loss_ce'], one['hr.decode.loss_ce'] / 2
    )
    torch.testing.assert_close(
        half['hr.decode.acc_seg'], one['hr.decode.acc_seg']
    )


def test_task_loss_weighs_each_entry_of_a_list(model, views, monkeypatch):
    monkeypatch.setattr(
        model.task_model,
        'loss',
        lambda *_: dict(loss_cls=[torch.ones(()), torch.ones(())]),
    )
    loss = TaskLoss(views=dict(sr=0.25))(model, views)
    assert [v.item() for v in loss['sr.loss_cls']] == [0.25, 0.25]


def test_batch_norm_sees_one_kind_of_image_at_a_time(model, views):
    batch_norm = model.task_model.backbone.bn1
    TaskLoss(views=dict(sr=0.34, hr=0.34, cqmix=0.34))(model, views)
    assert batch_norm.num_batches_tracked == 3


@pytest.mark.parametrize('task', TASKS)
def test_views_joined_to_one_batch(task):
    """The mean of their losses, where BatchNorm and samplers are at rest."""
    model = build_model(task).eval()
    views = model.make_views(make_batch(task))
    joined = TaskLoss(views={'sr+hr+cqmix': 1.0})(model, views)
    apart = TaskLoss(views=dict(sr=1 / 3, hr=1 / 3, cqmix=1 / 3))(model, views)
    total, log = model.parse_losses(joined)
    torch.testing.assert_close(total, model.parse_losses(apart)[0])
    names = {f'sr+hr+cqmix.{name}' for name in TASKS[task]['losses']}
    assert set(log) == {*names, 'loss'}


def test_batch_norm_sees_joined_views_at_once(model, views):
    TaskLoss(views={'sr+hr+cqmix': 1.02})(model, views)
    assert model.task_model.backbone.bn1.num_batches_tracked == 1


@pytest.mark.parametrize('name', ['x', 'hr+x'])
def test_unknown_view(name):
    with pytest.raises(ValueError, match=r"TaskLoss\.views: unknown view 'x'"):
        TaskLoss(views={name: 1.0})


def test_unknown_criterion():
    with pytest.raises(ValueError, match=r"criterion='l3'.*l1, l2"):
        PixelLoss(criterion='l3')


def test_stage_of_several_tensors():
    """A map and a class token, as mmseg's DPT and mmpretrain's Conformer."""
    model = build_model()
    backbone = model.task_model.backbone
    maps = backbone(torch.rand(2, 3, 32, 32))
    backbone.forward = lambda x: [[m + 0 * x.mean(), m] for m in maps]
    views = model.make_views(make_batch())
    features = model.features(views, 'sr', [0, -1])
    assert [f.shape for f in features] == [m.shape for m in maps]
