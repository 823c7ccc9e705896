"""What makes our evidence: from a table of the paper to its runs."""

import argparse
import csv
import os
import signal
import subprocess
import sys
import time

import mmengine
import pytest
from mmengine.config import Config

sys.path.insert(0, '.dev_scripts/evidence')
import derive_config  # noqa: E402
import paper_tables  # noqa: E402
import report  # noqa: E402
import run_table  # noqa: E402

SCRIPT = '.dev_scripts/evidence/run_table.py'
TOY = 'configs/toy/sr4ir_unet_toy_{}.py'


def test_every_row_of_the_paper_has_a_config(tmp_path):
    names = set()
    for table in paper_tables.TABLES.values():
        for (dataset, scale, *_), figures in table['paper'].items():
            assert set(figures) <= set(table['rows'])
            for figure in figures.values():
                assert len(figure) == len(table['metrics'])
            for row in table['rows'].values():
                pattern = paper_tables.DATASETS.get(dataset, '')
                runs = run_table.plan(row, pattern, scale, 0, str(tmp_path))
                assert runs, (row, dataset, scale)
                names |= {run.config for run in runs if run.train}
    assert not list(tmp_path.iterdir())  # none had to be made
    # 92, ablations, rivals, degradations, two of the supplement, EDTR, SR2
    assert len(names) == 92 + 30 + 4 + 6 + 2 + 12 + 18
    assert all(map(os.path.isfile, names))


@pytest.mark.parametrize('row', ['sr-start', 'one-batch-without-tdp'])
def test_another_sr_network(row, tmp_path):
    """In the place of EDSR; what starts from weights still does."""
    folder = 'baselines' if row == 'sr-start' else 'ablations'
    pattern = 'configs/sr4ir_lite0_cars28_{}.py'
    template = f'{folder}/{row}_{{setup}}_{{scale}}'
    path = derive_config.locate(template, pattern, 'x4_span', str(tmp_path))
    assert path.endswith(f'{row}_lite0_cars28_x4_span.py')
    cfg, edsr = map(
        Config.fromfile,
        (
            path,
            derive_config.locate(template, pattern, 'x4', str(tmp_path)),
        ),
    )
    assert cfg.model.sr_net.arch == 'SPAN' and 'num_blocks' not in (
        cfg.model.sr_net
    )
    init_cfg = cfg.model.sr_net.get('init_cfg')
    assert init_cfg == edsr.model.sr_net.get('init_cfg')
    assert bool(init_cfg) == (row != 'sr-start')
    rates = [c.optim_wrapper.sr_net.optimizer.lr for c in (cfg, edsr)]
    assert rates[0] == rates[1] / 2


# toy scenes with the recipe of the paper, without a start of their own
OWN = """
_base_ = {!r}
phases = _base_.phases
phases[0].losses[1].begin = 0.1
phases[1].losses = phases[1].losses[:1]
phases[1].losses[0].pop('begin')
model = dict(phases=phases)
"""


@pytest.mark.parametrize(
    'template,scale',
    [
        ('baselines/s2t_{setup}_{scale}_swinir', 'x8'),
        ('ablations/perceptual-joint_{setup}_{scale}', 'x8'),
        ('ablations/sr-vgg_{setup}_{scale}', 'x8'),
        ('ablations/without-tdp_{setup}_{scale}', 'x4'),
        ('degradations/l2t_{setup}_{scale}_blur5', 'x8'),
    ],
)
def test_configs_of_the_paper_fit_other_data_sets(tmp_path, template, scale):
    pattern = str(tmp_path / 'own' / os.path.basename(TOY))
    os.mkdir(tmp_path / 'own')
    for name in ('x4', 'x8', 'x8_swinir'):
        with open(pattern.format(name), 'w') as file:
            file.write(OWN.format(os.path.abspath(TOY.format(name))))
    path = derive_config.locate(template, pattern, scale, str(tmp_path))
    assert path.startswith(str(tmp_path)) and 'unet_toy' in path
    toy = Config.fromfile(path)
    ours = Config.fromfile(pattern.format(scale))
    assert toy.model.scale == int(scale[1])
    assert toy.model.task_model == ours.model.task_model
    assert toy.train_dataloader == ours.train_dataloader
    for data in ('voc-seg', 'voc-det', 'cars', 'cub'):
        pattern = paper_tables.DATASETS[data]
        theirs = derive_config.locate(template, pattern, scale, str(tmp_path))
        if not theirs.startswith(str(tmp_path)):
            break
    theirs = Config.fromfile(theirs)
    assert toy.model.phases == theirs.model.phases
    assert toy.model.get('degradation') == theirs.model.get('degradation')


def test_missing_configs_leave_cells_empty(tmp_path):
    pattern = 'configs/sr4ir_resnet18_sign-digits_{}.py'
    sr4ir = 'sr4ir_{setup}_{scale}'
    for template, scale in ((sr4ir, 'x8'), (f'{sr4ir}_swinir', 'x4')):
        assert (
            derive_config.locate(template, pattern, scale, str(tmp_path))
            is None
        )
    assert derive_config.locate(sr4ir, pattern, 'x4', str(tmp_path))


WRAPPED = """
_base_ = {!r}
from sr4ir_mm.apis import wrap
wrap(_base_, {})
train_dataloader = dict(batch_size=3)
"""
RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
SMALL = "dict(type='sr4ir_mm.EDSRNet', in_channels=3, out_channels=3)"


@pytest.mark.parametrize('sr_net', ["'edsr_x4'", SMALL])
def test_tables_of_what_wrap_makes(tmp_path, sr_net):
    """Whatever its recipe and its start on pixels: rows are of the same
    schedule, from the same weights."""
    pattern = str(tmp_path / 'sr4ir_retinanet_mine_{}.py')
    with open(pattern.format('x4'), 'w') as file:
        file.write(WRAPPED.format(RETINANET, f'{sr_net}, epochs=6'))

    def read(template):
        out = str(tmp_path / 'out')
        path = derive_config.locate(template, pattern, 'x4', out)
        cfg = Config.fromfile(path)
        assert cfg.train_dataloader.batch_size == 3
        return cfg

    s2t = read('baselines/s2t_{setup}_{scale}')
    assert s2t.train_cfg.max_epochs == 12
    steps = [s2t.param_scheduler[n][1] for n in ('sr_net', 'task_model')]
    assert [(s.begin, s.end) for s in steps] == [(0, 6), (6, 12)]
    assert s2t.param_scheduler.task_model[0].after_epochs == 6
    assert 'after_epochs' not in s2t.param_scheduler.sr_net[0]
    l2t = read('baselines/l2t_{setup}_{scale}')
    assert (l2t.model.view, l2t.train_cfg.max_epochs) == ('bilinear', 6)
    assert 'after_epochs' not in l2t.param_scheduler.task_model[0]
    sr4ir = read('sr4ir_{setup}_{scale}')
    assert sr4ir.train_cfg.max_epochs == 6
    assert sr4ir.param_scheduler.sr_net == l2t.param_scheduler.sr_net
    assert [phase.name for phase in sr4ir.model.phases] == ['sr', 'task']
    without = read('ablations/without-tdp_{setup}_{scale}')
    assert len(without.model.phases[0].losses) == 1
    assert sr4ir.model.sr_net == s2t.model.sr_net == without.model.sr_net


def test_tables_have_mean_and_std_over_seeds(tmp_path):
    """Detection's fractions in percent, infinities, and what is missing."""
    cells = {}
    for row, results in {
        'H -> T': [{'coco/bbox_mAP': 0.36, 'sr/PSNR': float('inf')}] * 2,
        'L -> T': [
            {'coco/bbox_mAP': 0.1, 'sr/PSNR': 20.0, 'sr/LPIPS': 0.5},
            {'coco/bbox_mAP': 0.3, 'sr/PSNR': 20.5, 'sr/LPIPS': 0.25},
        ],
        'S, EDSR': [None],
    }.items():
        runs = [
            run_table.Run('baselines/x.py', str(tmp_path / f'{row}{i}'), i)
            for i in range(len(results))
        ]
        for run, metrics in zip(runs, results):
            if metrics:
                mmengine.mkdir_or_exist(run.folder)
                mmengine.dump(dict(metrics=metrics), run.results)
        cells['voc-det', 'x8', row] = runs
    run_table.write_tables('main', cells, str(tmp_path))
    lines = (tmp_path / 'main.md').read_text().splitlines()
    assert '| H -> T | 36.00 ± 0.00 | 36.70 |  | 0.000 | inf | inf |' in lines
    assert (
        '| L -> T | 20.00 ± 14.14 | 18.90 | 0.375 ± 0.177 | 0.559 '
        '| 20.25 ± 0.35 | 20.29 |' in lines
    )
    assert '| S, EDSR |  |  |  |  |  |  |' in lines


def test_curves_over_noise():
    """SSIM above accuracy, x2 beside x4, and a row has one colour."""
    records = [
        dict(zip(('metric', 'scale', 'row', 'noise', 'mean', 'std'), values))
        for values in [
            ('SSIM', 'x2', 'FSRCNN', 0, 0.9, None),
            ('SSIM', 'x2', 'SR2', 0, 0.92, 0.02),
            ('SSIM', 'x2', 'SR2', 0.01, 0.8, 0.0),
            ('SSIM', 'x4', 'SR2', 0.01, None, None),
            ('task', 'x4', 'SR2', 0.01, 70.0, 3.0),
        ]
    ]
    figure = report.draw_over_noise(records)
    assert [ax.get_title() for ax in figure.axes] == ['x2', 'x4'] * 2
    curves = [
        {bars.get_label(): bars.lines[0] for bars in ax.containers}
        for ax in figure.axes
    ]
    assert list(map(list, curves)) == [['FSRCNN', 'SR2'], [], [], ['SR2']]
    assert curves[0]['SR2'].get_xdata().tolist() == [0, 0.01]
    assert curves[0]['SR2'].get_ydata().tolist() == [0.92, 0.8]
    assert curves[0]['SR2'].get_color() == curves[3]['SR2'].get_color()
    low, high = figure.axes[3].containers[0].lines[1]
    assert (low.get_ydata(), high.get_ydata()) == (67, 73)


def test_options_leave_the_weights_of_earlier_runs(tmp_path):
    """``init_cfg=None`` is how to go without pre-trained weights."""
    (tmp_path / 'last_checkpoint').write_text('first_stage.pth')
    key = 'model.sr_net.init_cfg'
    run = run_table.Run(
        'configs/baselines/s2t-2nd_resnet18_cars_x8.py',
        str(tmp_path / 'second'),
        seed=0,
        weights={f'{key}.checkpoint': str(tmp_path)},
    )
    backbone = 'model.task_model.backbone.init_cfg'
    args = argparse.Namespace(
        cfg_options={key: None, backbone: None},
        budget=1.0,
        noise=[],
        gpus=1,
    )
    model = run_table.make_config(run, args).model
    assert model.sr_net.init_cfg.checkpoint == 'first_stage.pth'
    assert model.sr_net.init_cfg.prefix == 'sr_net.'
    assert model.task_model.backbone.init_cfg is None


def test_a_folder_has_one_runner(tmp_path):
    lock = run_table.acquire(str(tmp_path))
    with pytest.raises(SystemExit, match='another run_table.py'):
        run_table.acquire(str(tmp_path))
    lock.close()
    run_table.acquire(str(tmp_path)).close()


@pytest.mark.parametrize(
    'patterns,message',
    [
        (['a/sr4ir_{}.py', 'b/sr4ir_{}.py'], 'expected one of'),
        (['a/sr4ir_x_{}.py', 'b/sr4ir_x_{}.py'], 'two of one name'),
        (['nowhere/sr4ir_x_{}.py'], 'No config found'),
    ],
)
def test_data_sets_that_cannot_be_run(
    tmp_path, monkeypatch, capsys, patterns, message
):
    argv = ['run_table.py', 'main', '--dataset', *patterns]
    monkeypatch.setattr(
        sys, 'argv', [*argv, '--work-dir', str(tmp_path / 'work')]
    )
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    with pytest.raises(SystemExit) as error:
        run_table.main()
    assert message in str(error.value) + capsys.readouterr().err


def test_tables_can_be_run_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pattern = paper_tables.DATASETS['toy']
    row = paper_tables.TABLES['main']['rows']['SR4IR, EDSR']
    (run,) = run_table.plan(row, pattern, 'x4', 0, str(tmp_path))
    assert os.path.isabs(run.config) and os.path.isfile(run.config)


def test_a_setup_is_in_the_name_of_the_file():
    pattern = '/home/sr4ir_mm/configs/sr4ir_fcos_my_data_{}.py'
    assert derive_config.setup_of(pattern) == 'fcos_my_data'


@pytest.mark.parametrize(
    'option,name,ok',
    [
        ('--rows', 'L -> T', True),
        ('--rows', 'L2T', False),
        ('--scales', 'x8', True),
        ('--scales', 'x2', False),
    ],
)
def test_a_part_of_a_table(monkeypatch, capsys, option, name, ok):
    argv = ['run_table.py', 'main', option, name]
    monkeypatch.setattr(sys, 'argv', argv)
    if ok:
        args = run_table.parse_args()
        scales = {scale for _, scale in args.columns}
        assert name in (*args.rows, *scales)
        assert (len(args.rows) == 1) != (len(scales) == 1)
    else:
        with pytest.raises(SystemExit):
            run_table.parse_args()
        assert f'{option}: {name!r} is none of' in capsys.readouterr().err


def test_unknown_data_set():
    with pytest.raises(SystemExit, match='--dataset mars: expected one of'):
        derive_config.setup_of('mars')


def test_killed_table_goes_on_without_redoing_cells(tmp_path, toy_root):
    """The ablation of TDP, two runs of eight iterations on toy scenes."""
    work = tmp_path / 'work'
    options = [
        f'{split}_dataloader.dataset.data_root={toy_root}'
        for split in ('train', 'val', 'test')
    ]
    options += ['default_hooks.checkpoint.interval=2']
    command = [sys.executable, '-W', 'ignore', SCRIPT, 'tdp']
    command += ['--dataset', 'toy', '--budget', '0.01']
    command += ['--work-dir', str(work), '--cfg-options', *options]
    first = work / 'without-tdp_unet_toy_x8' / 'seed_200'
    second = work / 'sr4ir_unet_toy_x8' / 'seed_200'
    # nothing to fetch LPIPS's weights from, 500 MB
    offline = dict(HTTPS_PROXY='http://127.0.0.1:9')
    env = dict(os.environ, OMP_NUM_THREADS='1', **offline)

    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, start_new_session=True
    )
    while not (second / 'last_checkpoint').exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = (first / 'results.json').stat().st_mtime_ns
    assert not (second / 'results.json').exists()

    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (first / 'results.json').stat().st_mtime_ns == finished
    assert 'resumed' in (second / 'output.log').read_text()
    with open(work / 'tdp.csv') as file:
        records = list(csv.DictReader(file))
    assert len(records) == 4  # two rows, two metrics
    for record in records:
        if record['metric'] == 'task':
            assert 0 < float(record['mean']) < 100
            assert record['paper'] == record['std'] == ''
    assert '| without TDP | ' in (work / 'tdp.md').read_text()

    changed = subprocess.run(
        [*command, 'model.phases.0.losses.0.weight=2'],
        env=env,
        capture_output=True,
        text=True,
    )
    assert changed.returncode == 1
    assert 'with other settings' in changed.stderr
