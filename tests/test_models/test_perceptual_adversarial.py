import pytest
import torch
import torchvision
from mmengine.optim import OptimWrapper
from tiny import TASK_LOSS, TASKS, build_model, make_batch, moved, snapshot

from sr4ir_mm.engine import PhaseUpdate
from sr4ir_mm.models.losses import (
    AdversarialLoss,
    DiscriminatorLoss,
    FixedTDPLoss,
    PerceptualLoss,
    RealFakeBranch,
    TDPLoss,
)

BRANCH = dict(type='sr4ir_mm.RealFakeBranch', in_channels=8)


def sr_phase(*losses):
    return dict(name='sr', trains='sr_net', losses=list(losses))


def train_phase(model, phase, views):
    """One step of a phase, as the loop takes it; returns its log."""
    networks = [model.networks[name] for name in phase.trains]
    parameters = [p for n in networks for p in n.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    return PhaseUpdate(phase, [OptimWrapper(optimizer)])(model, views, 0.5)


# --------------------------------------------------------------- perceptual


@pytest.fixture(scope='module')
def vgg_file(tmp_path_factory):
    """Random weights of VGG11, without the 400 MB of its classifier."""
    torch.manual_seed(0)
    with torch.device('meta'):
        vgg = torchvision.models.vgg11()
    weights = {
        name: torch.randn(weight.shape) * 0.05
        for name, weight in vgg.state_dict().items()
        if name.startswith('features.')
    }
    path = tmp_path_factory.mktemp('vgg') / 'vgg11.pth'
    torch.save(weights, path)
    return str(path)


def vgg_loss(vgg_file, **kwargs):
    args = dict(
        type='sr4ir_mm.PerceptualLoss',
        vgg_type='vgg11',
        layer_weights={'6': 0.5, '3': 2.0},
        pretrained=vgg_file,
    )
    return dict(args, **kwargs)


def build_vgg_loss(vgg_file, **kwargs):
    cfg = vgg_loss(vgg_file, **kwargs)
    cfg.pop('type')
    return PerceptualLoss(**cfg)


def test_perceptual_loss_is_the_distance_of_vgg_features(vgg_file):
    model = build_model()
    views = model.make_views(make_batch())
    loss = build_vgg_loss(vgg_file, weight=3.0)(model, views)
    weights = torch.load(vgg_file)

    def features(image):
        image = torchvision.transforms.functional.normalize(
            image, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        )
        maps = []
        for index in (0, 3, 6):
            image = torch.nn.functional.conv2d(
                image,
                weights[f'features.{index}.weight'],
                weights[f'features.{index}.bias'],
                padding=1,
            )
            maps.append(image)
            image = image.relu()
            if index in (0, 3):
                image = torch.nn.functional.max_pool2d(image, 2)
        return maps

    sr, hr = features(views['sr']), features(views['hr'])
    expected = 2.0 * (sr[1] - hr[1]).abs().mean()
    expected = 3.0 * (expected + 0.5 * (sr[2] - hr[2]).abs().mean())
    torch.testing.assert_close(loss['loss_perceptual'], expected)


def test_vgg_trains_the_sr_network_and_is_no_part_of_the_model(vgg_file):
    model = build_model(phases=[sr_phase(vgg_loss(vgg_file))])
    names = set(model.state_dict())
    views = model.make_views(make_batch())
    model.rehearse(views)
    before = snapshot(model)
    log = train_phase(model, model.phases[0], views)
    assert set(log) == {'loss', 'loss_perceptual'}
    changed = moved(model, before)
    assert changed and all(name.startswith('sr_net.') for name in changed)
    assert set(model.state_dict()) == names


def test_vgg_is_not_needed_before_the_loss_is():
    build_model(phases=[sr_phase(vgg_loss('no/such.pth'))]).init_weights()


@pytest.mark.parametrize(
    'filename', ['no/such.pth', 'http://127.0.0.1:9/vgg11.pth']
)
def test_unreachable_vgg(filename):
    model = build_model(phases=[sr_phase(vgg_loss(filename))])
    with pytest.raises(
        RuntimeError, match=rf'PerceptualLoss\.pretrained: .*{filename}.*local'
    ):
        model.rehearse(model.make_views(make_batch()))


def test_weights_of_another_vgg(vgg_file):
    model = build_model()
    loss = build_vgg_loss(vgg_file, vgg_type='vgg13')
    with pytest.raises(
        ValueError, match=r'Loss\.pretrained=.* of another net'
    ):
        loss(model, model.make_views(make_batch()))


def test_layer_that_vgg_does_not_have(vgg_file):
    model = build_model()
    loss = build_vgg_loss(vgg_file, layer_weights={'34': 1.0})
    with pytest.raises(
        ValueError, match=r'no layer 34; vgg11\.features .* 21'
    ):
        loss(model, model.make_views(make_batch()))


# ---------------------------------------------------------------- fixed TDP


@pytest.fixture(params=['ours', "the toolbox's"])
def task_checkpoint(request, tmp_path):
    """Weights of another task model, as this package and mmseg save them."""
    source = build_model(seed=1)
    network = source if request.param == 'ours' else source.task_model
    path = str(tmp_path / 'task.pth')
    torch.save(dict(state_dict=network.state_dict(), meta={}), path)
    return path, source.task_model


def test_fixed_tdp_loss_looks_through_the_checkpoint(task_checkpoint):
    path, task_model = task_checkpoint
    model = build_model(teacher=path)
    views = model.make_views(make_batch())
    trained = model.task_model
    loss = FixedTDPLoss()(model, views)['loss_fixed_tdp']
    assert model.task_model is trained
    assert not torch.equal(loss, TDPLoss()(model, views)['loss_tdp'])
    model.task_model = task_model
    torch.testing.assert_close(loss, TDPLoss()(model, views)['loss_tdp'])


def test_fixed_task_model_stays_as_it_is(task_checkpoint):
    path, _ = task_checkpoint
    fixed = dict(type='sr4ir_mm.FixedTDPLoss')
    task = dict(name='task', trains='task_model', losses=[TASK_LOSS])
    model = build_model(phases=[sr_phase(fixed), task], teacher=path)
    names = set(model.state_dict())
    views = model.make_views(make_batch())
    model.rehearse(views)
    network = model.teacher()
    before = snapshot(network)
    for phase in model.phases:
        sr_net = snapshot(model.sr_net)
        train_phase(model, phase, views)
        assert bool(moved(model.sr_net, sr_net)) == (phase.name == 'sr')
    assert not moved(network, before) and not network.training
    assert moved(model.task_model, before)
    assert set(model.state_dict()) == names


def test_fixed_tdp_loss_needs_no_real_fake_branch(task_checkpoint):
    path, _ = task_checkpoint
    gan = build_gan(teacher=path)
    views = gan.make_views(make_batch())
    assert FixedTDPLoss()(gan, views)['loss_fixed_tdp'] > 0
    assert hasattr(gan.task_model, 'real_fake_branch')


def test_fixed_tdp_loss_of_another_network(tmp_path):
    path = str(tmp_path / 'other.pth')
    torch.save(dict(weight=torch.zeros(1)), path)
    model = build_model(teacher=path)
    with pytest.raises(ValueError, match='model.teacher=.*other.pth: 0 of 57'):
        FixedTDPLoss()(model, model.make_views(make_batch()))


def test_joint_tdp_reaches_the_task_model_through_sr_and_hr():
    """Ablation C needs no loss of its own."""
    phases = [
        dict(
            name='joint',
            trains=['sr_net', 'task_model'],
            losses=[dict(type='sr4ir_mm.TDPLoss')],
        )
    ]
    model = build_model(phases=phases)
    views = model.make_views(make_batch())
    weight = model.task_model.backbone.conv1.weight
    with model.in_phase(model.phases[0], views):
        sr, hr = (model.features(views, v, [-1])[0] for v in ('sr', 'hr'))
        (through_sr,), (through_hr,) = (
            torch.autograd.grad(f.sum(), weight, retain_graph=True)
            for f in (sr, hr)
        )
        assert through_sr.abs().sum() > 0 and through_hr.abs().sum() > 0
        (total,) = torch.autograd.grad((sr - hr).abs().mean(), weight)
        (sr_only,) = torch.autograd.grad(
            TDPLoss()(model, views)['loss_tdp'], weight
        )
    torch.testing.assert_close(total, sr_only)


# -------------------------------------------------------------- adversarial


def build_gan(task='seg', **kwargs):
    phases = [
        sr_phase(dict(type='sr4ir_mm.AdversarialLoss')),
        dict(
            name='task',
            trains='task_model',
            losses=[dict(type='sr4ir_mm.DiscriminatorLoss')],
        ),
    ]
    return build_model(task, phases=phases, real_fake_branch=BRANCH, **kwargs)


@pytest.fixture
def gan():
    return build_gan()


def test_the_two_players_want_opposite_verdicts(gan):
    views = gan.make_views(make_batch())
    branch = gan.task_model.real_fake_branch
    sr, hr = (
        branch(gan.features(views, view, [-1])[0]) for view in ('sr', 'hr')
    )
    generator = AdversarialLoss(weight=0.5)(gan, views)
    torch.testing.assert_close(
        generator, dict(loss_adversarial=-0.5 * sr.sigmoid().log().mean())
    )
    discriminator = DiscriminatorLoss(weight=0.5)(gan, views)
    expected = dict(
        loss_real=-0.5 * hr.sigmoid().log().mean(),
        loss_fake=-0.5 * (1 - sr.sigmoid()).log().mean(),
    )
    torch.testing.assert_close(discriminator, expected)


@pytest.mark.parametrize('task', TASKS)
def test_each_player_moves_alone(task):
    gan = build_gan(task)
    views = gan.make_views(make_batch(task))
    sr_net, task_model = (snapshot(n) for n in gan.networks.values())
    log = train_phase(gan, gan.phases[0], views)
    assert set(log) == {'loss', 'loss_adversarial'}
    assert moved(gan.sr_net, sr_net)
    assert not moved(gan.task_model, task_model)
    sr_net = snapshot(gan.sr_net)
    train_phase(gan, gan.phases[1], views)
    assert not moved(gan.sr_net, sr_net)
    changed = moved(gan.task_model, task_model)
    assert 'real_fake_branch.fc.weight' in changed
    assert 'backbone.conv1.weight' in changed
    # looked at in eval mode
    assert not any('running' in name for name in changed)


def test_discriminator_learns(gan):
    """Noise apart from black, whatever the task."""
    views = gan.make_views(make_batch())
    views._made['sr'] = torch.zeros_like(views['hr'])
    optimizer = torch.optim.Adam(gan.task_model.parameters(), lr=0.01)
    loss = DiscriminatorLoss()
    first = sum(loss(gan, views).values())
    for _ in range(30):
        optimizer.zero_grad()
        total = sum(loss(gan, views).values())
        total.backward()
        optimizer.step()
    assert total < first / 4


def test_branch_is_a_part_of_the_task_model_that_others_can_do_without(gan):
    assert 'task_model.real_fake_branch.fc.bias' in gan.state_dict()
    with torch.no_grad():
        assert len(gan.eval().test_step(make_batch(num=1))) == 1


def test_no_branch():
    model = build_model()
    with pytest.raises(ValueError, match=r'needs model\.real_fake_branch'):
        AdversarialLoss()(model, model.make_views(make_batch()))


def test_branch_of_another_width():
    with pytest.raises(ValueError, match=r'in_channels=4, .* has 8'):
        RealFakeBranch(in_channels=4)(torch.zeros(1, 8, 2, 2))
    with pytest.raises(ValueError, match=r'in_channels=4.*\(1, 4\)'):
        RealFakeBranch(in_channels=4)(torch.zeros(1, 4))
