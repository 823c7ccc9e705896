"""SR2: a classifier reads the first layers of the SR network."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.visualization import UniversalVisualizer
from PIL import Image
from tiny import build_model, make_batch, moved, snapshot

from sr4ir_mm.engine.loops import AlternatingIterTrainLoop
from sr4ir_mm.models.sr_task_model import build_sr_net
from sr4ir_mm.registry import MODELS
from sr4ir_mm.visualization import draw_panel

sys.path.insert(0, '.dev_scripts/evidence')
import run_table  # noqa: E402
import train_and_test  # noqa: E402

SMALL = dict(
    fsrcnn=dict(mid_channels=8, shrink_channels=4, num_blocks=2),
    wdsr=dict(mid_channels=4, expansion=2, num_blocks=3),
)
# Parameters of the first two layers that can be shared.
LAYERS = dict(
    fsrcnn=[('layers.0.',), ('layers.1.',)],
    wdsr=[('conv_first.', 'body.0.'), ('body.1.',)],
)
NETWORKS = pytest.mark.parametrize('network', SMALL)
LOADER = dict(num_workers=0, persistent_workers=False, batch_size=8)
SIZE = (28, 28)
COLUMNS = [('mnist', 'x4', 0), ('mnist', 'x4', 1e-4)]


def small(name, **sr_net):
    """A config with networks that train in milliseconds."""
    form, network = name.split('_')[:2]
    cfg = Config.fromfile(f'configs/sr2/{name}.py')
    cfg.model.sr_net.update(SMALL[network], **sr_net)
    classifier = cfg.model.task_model
    classifier.backbone.update(base_channels=4, stem_channels=4)
    classifier.head.in_channels = 16
    if form != 'seq':
        shared = build_sr_net(cfg.model.sr_net).shared_channels
        classifier.backbone.in_channels = shared
    return cfg


def build(name, **sr_net):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(small(name, **sr_net).model)


def batch(num=2):
    return make_batch('cls', num=num, size=SIZE)


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """A folder with 200 images for training and 200 for test."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split in ('train', 'test'):
        labels = rng.integers(0, 10, 200).astype(np.uint8)
        images = rng.integers(0, 60, (200, *SIZE)) + 19 * labels[:, None, None]
        arrays[f'{split}_images'] = images.astype(np.uint8)
        arrays[f'{split}_labels'] = labels
    root = tmp_path_factory.mktemp('digits')
    np.savez(root / 'mnist.npz', **arrays)
    return str(root)


# ---------------------------------------------------------------- training


def train(cfg, folder, digits, iters=6):
    cfg.work_dir = str(folder)
    cfg.log_level = 'ERROR'
    cfg.train_dataloader.update(LOADER)
    cfg.train_dataloader.dataset.data_root = digits
    cfg.train_cfg.max_iters = iters
    cfg.param_scheduler.milestones = [iters // 2]
    for key in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@NETWORKS
def test_weight_0_is_the_sr_network_alone(tmp_path, digits, network):
    """Bit for bit, through both stages: parameters, BatchNorm statistics and
    the state of the optimizer."""
    runners = {}
    for weight in (0.0, 9.0):
        cfg = small(f'sr2_{network}_mnist_x4')
        cfg.model.phases[1].losses[1].views.shared = weight
        runners[weight] = train(cfg, tmp_path / str(weight), digits)
    alone = train(small(f'sr_{network}_mnist_x4'), tmp_path / 'sr', digits)
    result = snapshot(alone.model.sr_net)
    assert not moved(runners[0.0].model.sr_net, result)
    states = [
        runner.optim_wrapper['sr_net'].optimizer.state_dict()['state']
        for runner in (alone, runners[0.0])
    ]
    for one, other in zip(*(state.values() for state in states)):
        assert all(torch.equal(one[key], other[key]) for key in one)
    # of another weight, the shared layers know
    different = moved(runners[9.0].model.sr_net, result)
    assert {k for k in different if k.startswith(LAYERS[network][0])}


def test_stages_have_the_papers_learning_rates(tmp_path, digits):
    model = small('sr2_fsrcnn_mnist_x4').model
    begin = [phase.get('begin', 0) for phase in model.phases]
    assert begin == [0, 0.5] and model.phases[0].end == 0.5
    seen = []

    def record(self, data_batch):
        lrs = self.runner.optim_wrapper.get_lr()
        seen.append({lr for values in lrs.values() for lr in values})
        return run_iter(self, data_batch)

    run_iter = AlternatingIterTrainLoop.run_iter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AlternatingIterTrainLoop, 'run_iter', record)
        train(small('sr2_fsrcnn_mnist_x4'), tmp_path, digits, iters=4)
    lrs = [max(step) for step in seen if len(step) == 1]
    assert lrs == pytest.approx([1e-3, 1e-3, 1e-5, 1e-5])


@NETWORKS
@pytest.mark.parametrize('num_shared', [1, 2])
def test_classification_trains_the_shared_layers_alone(network, num_shared):
    model = build(f'sr2_{network}_mnist_x4', num_shared=num_shared)
    views = model.make_views(batch())
    with model.in_phase(model.phases[1], views):
        views['sr']  # made of the same features
        model.task_loss(views, 'shared')['loss'].backward()
    reached = {
        name
        for name, p in model.sr_net.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    shared = sum(LAYERS[network][:num_shared], ())
    assert reached == {
        name
        for name, _ in model.sr_net.named_parameters()
        if name.startswith(shared)
    }
    assert all(p.grad is not None for p in model.task_model.parameters())


# --------------------------------------------------------------- prediction


@torch.no_grad()
def predict(model):
    samples = model.eval().test_step(batch())
    return (
        torch.stack([sample.pred_score for sample in samples]),
        torch.stack([sample.pred_img for sample in samples]),
    )


@pytest.mark.parametrize(
    'name,stays',
    [
        ('sr2_fsrcnn_mnist_x4', True),
        ('sr2_wdsr_mnist_x4', True),
        ('seq_fsrcnn_mnist_x4', False),
    ],
)
def test_an_error_in_sr_reaches_the_sequential_classifier_only(name, stays):
    model = build(name)
    scores, images = predict(model)
    assert images.shape == (2, 3, *SIZE)
    with torch.no_grad():
        for key, p in model.sr_net.named_parameters():
            if not key.startswith(LAYERS[name.split('_')[1]][0]):
                p.add_(torch.randn_like(p))
    new_scores, new_images = predict(model)
    assert not torch.equal(images, new_images)
    assert torch.equal(scores, new_scores) == stays


def test_the_picture_of_shared_is_sr():
    model = build('sr2_wdsr_mnist_x4').eval()
    views = model.make_views(batch())
    with torch.no_grad():
        sample = model.predict(views, 'shared')[0]
        assert torch.equal(sample.pred_img, model.sr_net(views['lr'])[0])
    assert torch.equal(sample.gt_img, views['hr'][0])
    assert views.task_input('shared').shape == (2, 4, 7, 7)


def test_the_toolboxs_scripts_work():
    """get_flops, and those that look at features."""
    model = build('sr2_fsrcnn_mnist_x4').eval()
    inputs = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        assert model.extract_feat(inputs)[0].shape == (1, 16, 2, 2)
        assert model(inputs).shape == (1, 10)


def test_panel():
    model = build('sr2_fsrcnn_mnist_x4').eval()
    visualizer = UniversalVisualizer(name='panel')
    visualizer.dataset_meta = dict(classes=tuple('0123456789'))
    panel, name = draw_panel(model, batch(), visualizer)
    assert name == '0'
    assert panel.shape[1] / panel.shape[0] == pytest.approx(1.32, abs=0.1)


@pytest.mark.parametrize('sr_net,reason', [(None, 'not set'), ({}, 'EDSRNet')])
def test_shared_needs_a_network_that_shares(sr_net, reason):
    kwargs = dict(sr_net=None) if sr_net is None else {}
    with pytest.raises(ValueError, match=f'shared.*{reason}'):
        model = build_model('cls', view='shared', phases=(), **kwargs)
        predict(model)


# -------------------------------------------------------------------- noise


def noisy_and_clean():
    cfg = small('sr2_fsrcnn_mnist_x4').model
    init_default_scope('mmpretrain')
    clean = MODELS.build(cfg)
    cfg.degradation[-1].std = 30
    return MODELS.build(cfg), clean


def test_noise_is_on_test_images_only():
    noisy, clean = noisy_and_clean()
    expected = clean.make_views(batch())['lr']
    assert torch.equal(noisy.make_views(batch())['lr'], expected)
    views = noisy.make_views(batch())
    noisy.rehearse(views)
    with noisy.in_phase(noisy.phases[0], views):
        assert torch.equal(views['lr'], expected)
    noisy.eval()
    assert not torch.equal(noisy.make_views(batch())['lr'], expected)
    noisy.train()
    assert torch.equal(noisy.make_views(batch())['lr'], expected)


def test_each_test_image_has_noise_of_its_own():
    degrade = noisy_and_clean()[0].eval().degradation
    images = torch.stack([torch.full((3, 160, 160), v) for v in (0.4, 0.5)])
    noise = degrade(images) - images[..., ::4, ::4]
    correlation = torch.corrcoef(noise.flatten(1))[0, 1]
    assert abs(correlation) < 0.1
    assert abs(noise.std() * 255 - 30) < 1


# ---------------------------------------------------------------- benchmark


def test_table_and_curves_over_noise(tmp_path, digits, monkeypatch):
    names = dict(sr='FSRCNN', sr2='SR2, FSRCNN')
    rows = {}
    for form, row in names.items():
        cfg = small(f'{form}_fsrcnn_mnist_x4')
        cfg.log_level = 'ERROR'
        for split in ('train', 'val', 'test'):
            loader = cfg[f'{split}_dataloader']
            loader.update(LOADER)
            loader.dataset.data_root = digits
        cfg.test_dataloader.dataset.indices = 40
        rows[row] = str(tmp_path / f'{form}_fsrcnn_mnist_x4')
        cfg.dump(f'{rows[row]}.py')
    table = run_table.TABLES['sr2']
    paper = {column: table['paper'][column] for column in COLUMNS}
    monkeypatch.setitem(
        run_table.TABLES, 'sr2', dict(table, rows=rows, paper=paper)
    )
    runs = []

    @contextmanager
    def run(command, **kwargs):
        runs.append(command[-1])
        monkeypatch.setattr(sys, 'argv', command[3:])
        train_and_test.main()
        done = SimpleNamespace(returncode=0)
        done.wait = done.terminate = lambda: None
        yield done

    in_process = SimpleNamespace(Popen=run, STDOUT=None)
    monkeypatch.setattr(run_table, 'subprocess', in_process)
    out = tmp_path / 'out'
    command = ['run_table.py', 'sr2', '--budget', '8e-5']
    command += ['--seeds', '0', '1', '--work-dir', str(out)]
    for _ in range(2):  # the second time there is nothing to do
        monkeypatch.setattr(sys, 'argv', command)
        run_table.main()
        assert len(runs) == 4
    lines = (out / 'sr2.csv').read_text().splitlines()
    assert lines[0] == 'dataset,scale,noise,row,metric,paper,mean,std,seeds'
    records = [line.rsplit(',', 4) for line in lines[1:]]
    ssims, accuracies = (
        [record[2] for record in records if record[0].endswith(metric)]
        for metric in ('SSIM', 'task')
    )
    assert len(set(ssims)) == 4
    assert [accuracy != '' for accuracy in accuracies] == [0, 1, 0, 1]
    assert all(record[4] in '02' for record in records)
    text = (out / 'sr2.md').read_text()
    assert '## mnist, x4, noise of variance 0.0001' in text
    row = text.splitlines()[-1]
    assert row.startswith(f'| SR2, FSRCNN | {float(ssims[3]):.3f} ± ')
    assert ' | 0.828 | ' in row
    assert np.array(Image.open(out / 'sr2.png').convert('L')).std() > 0
