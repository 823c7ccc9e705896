"""tools/analysis_tools/report.py: a page about trainings."""

import importlib.util
import json
import re
import shutil
import subprocess

import mmengine
import numpy as np
import pytest
from mmcv.image import imwrite

pytest.importorskip('plotly')
spec = importlib.util.spec_from_file_location(
    'html_report', 'tools/analysis_tools/report.py'
)
report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(report)
CONFIG = """
model = dict(scale=4, phases=[dict(name='sr', losses=[dict(weight={weight})])])
train_cfg = dict(max_iters=8)
work_dir = '{name}'
data_root = '{name}'
"""


def write_run(root, name, weight, first_step=1, start='20260101_000000'):
    """Eight iterations as mmengine logs them, from ``first_step`` on."""
    log = root / name / start / 'vis_data'
    (log / 'vis_image').mkdir(parents=True)
    (log / 'config.py').write_text(CONFIG.format(name=name, weight=weight))
    (root / name / f'{name}.py').write_text('')
    records = [
        {'loss': weight / step, 'time': 0.5, 'data_time': 0.1, 'step': step}
        for step in range(first_step, 9)
    ]
    metrics = {'mIoU': 50 + weight, 'sr/PSNR': 20.0, 'sr/LPIPS': 0.3 * weight}
    records.append({**metrics, 'time': 1.0, 'step': 0})
    (log / 'scalars.json').write_text('\n'.join(map(json.dumps, records)))
    (log.parent / f'{start}.log').write_text('GPU 0: Abacus\n')
    for step in (4, 8):
        panel = np.full((30, 40, 3), step, np.uint8)
        imwrite(panel, str(log / 'vis_image' / f'val_00000_a_{step}.png'))
    return root / name


@pytest.fixture
def folders(tmp_path):
    """A run of the paper's, and another."""
    one = write_run(tmp_path, 'sr4ir_deeplabv3_voc_x4', 1.0)
    two = write_run(tmp_path, 'two', 2.0)
    return [str(one), str(two)]


def test_what_a_run_is(folders):
    one = report.read_run(folders[0], 'one', 3)
    assert one.curves['loss'] == (
        [*range(1, 9)],
        [1 / step for step in range(1, 9)],
    )
    # mmengine writes 0, the epoch
    assert one.curves['mIoU'] == ([8], [51])
    assert one.metrics == {'mIoU': 51, 'sr/PSNR': 20, 'sr/LPIPS': 0.3}
    assert one.paper == {'mIoU': 60.7, 'sr/LPIPS': 0.22, 'sr/PSNR': 28.21}
    assert one.costs['training time'] == '0:00:04'
    assert one.costs['waiting for data'] == '20%'
    assert one.costs['device'] == 'Abacus'
    assert list(one.panels) == ['val_00000_a']
    two = report.read_run(folders[1], 'two', 3)
    assert not two.paper
    assert report.find_differences([one, two]) == {
        'model.phases.0.losses.0.weight': ['1.0', '2.0']
    }
    assert report.best_of('mIoU', [one, two]) == 52
    assert report.best_of('sr/LPIPS', [one, two]) == 0.3
    assert report.best_of('sr/PSNR', [one, two]) is None


def test_resumed_training_is_one_curve(tmp_path):
    folder = write_run(tmp_path, 'run', 1.0)
    later = write_run(tmp_path, 'later', 3.0, first_step=5)
    shutil.move(str(later / '20260101_000000'), str(folder / '20260102_0'))
    steps, values = report.read_run(str(folder), 'run', 1).curves['loss']
    assert steps == [*range(1, 9)]
    assert values[3:5] == [1 / 4, 3 / 5]


def resumed(tmp_path, *starts):
    """Parts of a training from iterations 1, 5 and 7 on, by when they were
    begun; each has other losses."""
    folder = tmp_path / 'run'
    for number, start in enumerate(starts):
        first_step = (1, 5, 7)[number]
        part = write_run(tmp_path, f'{number}', number + 1.0, first_step)
        shutil.move(str(part / '20260101_000000'), str(folder / start))
    return str(folder)


@pytest.mark.parametrize(
    'starts',
    [
        ('20260102_10', '20260102_11', '20260102_12'),
        # the clock was set back before the second part, or at midnight
        ('20260102_10', '20260102_07', '20260102_08'),
        ('20260102_10', '20260101_23', '20260102_12'),
    ],
)
def test_a_clock_that_was_set_back(tmp_path, starts):
    run = report.read_run(resumed(tmp_path, *starts), 'run', 0)
    steps, values = run.curves['loss']
    assert steps == [*range(1, 9)]
    weights = [1, 1, 1, 1, 2, 2, 3, 3]
    assert values == [w / step for step, w in zip(steps, weights)]
    assert run.metrics['mIoU'] == 53
    assert run.config['model.phases.0.losses.0.weight'] == '3.0'


@pytest.mark.parametrize(
    'steps,expected',
    [([20, 30, 40], [20, 30, 40]), ([0, 0, 1], [10, 40])],  # of epochs
)
def test_validations_between_what_is_logged_of_training(steps, expected):
    first, second, third = [dict(step=s, mIoU=i) for i, s in enumerate(steps)]
    log = [dict(loss=1, step=10), first, second, dict(loss=1, step=40), third]
    _, validation = report.merge_logs([log])
    assert [step for step, _ in validation] == expected
    assert validation[-1][1] is third


def test_a_training_begun_anew_counts(tmp_path):
    """In a folder that has another one, which had been resumed."""
    folder = resumed(tmp_path, '20260102_10', '20260102_11')
    anew = write_run(tmp_path, 'anew', 9.0)
    shutil.move(str(anew / '20260101_000000'), f'{folder}/20260103_10')
    _, values = report.read_run(folder, 'run', 0).curves['loss']
    assert values == [9 / step for step in range(1, 9)]


CUT = [
    '{"loss": 0.5, "time": 0.',
    'null}',
    '[1, 2]',
    '3',
    '{"loss": 1}',
    '\udcff\udcfe',
]


@pytest.mark.parametrize('line', CUT)
def test_lines_that_were_cut_are_left_out(folders, capsys, line):
    log = f'{folders[0]}/20260101_000000/vis_data/scalars.json'
    with open(log, encoding='utf-8', errors='surrogateescape') as file:
        lines = file.read().splitlines()
    lines[2] = line
    with open(log, 'w', errors='surrogateescape') as file:
        file.write('\n'.join(lines))
    one, two = report.read_runs(folders, 0)
    assert one.curves['loss'][0] == [1, 2, 4, 5, 6, 7, 8]
    assert two.curves['loss'][0] == [*range(1, 9)]
    assert f'{log}: 1 line(s) left out' in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_left_out(folders, tmp_path, capsys):
    results = tmp_path / 'two' / 'results.json'
    results.write_text('{"metrics": ')
    one, two = report.read_runs(folders, 0)
    assert two.metrics['mIoU'] == 52
    assert f'{results}: left out' in capsys.readouterr().err
    (tmp_path / 'two' / 'last_checkpoint').write_text('cut.pth')
    (tmp_path / 'two' / 'cut.pth').write_bytes(b'PK')
    (one,) = report.read_runs(folders, 0)
    assert one.name == 'sr4ir_deeplabv3_voc_x4'
    assert f'{folders[1]} is left out: ' in capsys.readouterr().err
    with pytest.raises(ValueError, match='None of the runs'):
        report.read_runs(folders[1:], 0)


@pytest.mark.parametrize(
    'code',
    [
        'import os; os.makedirs({path!r})',
        'model = dict(a=__import__("os").makedirs({path!r}))',
        '_base_ = "./evil.py"',
        'model = dict(',
    ],
)
def test_config_of_a_stranger_is_not_run(folders, tmp_path, capsys, code):
    config = f'{folders[0]}/20260101_000000/vis_data/config.py'
    code = code.format(path=str(tmp_path / 'ran'))
    for path, text in ((config, code), (f'{config[:-9]}evil.py', code)):
        with open(path, 'w') as file:
            file.write(text)
    one, _ = report.read_runs(folders, 0)
    assert not (tmp_path / 'ran').exists()
    if '_base_' not in code:
        assert f'{config}: the settings' in capsys.readouterr().err
        assert one.config == {}


def test_results_of_tests_come_first(folders):
    log = f'{folders[0]}/20260103_000000'
    mmengine.mkdir_or_exist(log)
    mmengine.dump({'mIoU': 70.0, 'time': 1.0}, f'{log}/20260103_000000.json')
    assert report.read_run(folders[0], '', 0).metrics == {'mIoU': 70}
    mmengine.dump(dict(metrics={'mIoU': 71.0}), f'{folders[0]}/results.json')
    assert report.read_run(folders[0], '', 0).metrics == {'mIoU': 71}


def test_runs_are_found_below_a_folder(folders, tmp_path):
    assert report.find_runs([str(tmp_path)]) == folders
    names = ['sr4ir_deeplabv3_voc_x4', 'two']
    assert report.name_runs(folders) == names
    assert report.name_runs(folders[:1]) == names[:1]
    advice = f'{folders[0]}/advice/hr_0/20260101_000000/vis_data'
    mmengine.mkdir_or_exist(advice)
    mmengine.dump({}, f'{advice}/scalars.json')
    assert report.find_runs([str(tmp_path)]) == folders
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no log of a training'):
        report.find_runs([str(tmp_path / 'empty')])


def test_page_opens_in_a_browser_without_a_network(folders, tmp_path):
    runs = [report.read_run(f, f[-5:], 1) for f in folders]
    page = tmp_path / 'out' / 'report.html'
    report.write_report(runs, 'Of <two> runs', str(page))
    text = page.read_text()
    assert 'Of &lt;two&gt; runs' in text
    # the page itself asks for nothing
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="http', text)
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    if browser is None:
        pytest.skip('there is no browser (Debian: apt-get install chromium)')
    done = subprocess.run(
        [
            browser,
            *('--headless', '--no-sandbox', '--disable-gpu', '--dump-dom'),
            '--host-resolver-rules=MAP * ~NOTFOUND',
            '--virtual-time-budget=10000',
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    # what the page's scripts draw
    assert done.stdout.count('class="main-svg"') >= 2, done.stderr
    assert done.stdout.count('scatterlayer') >= 2
    assert 'data:image/webp' in done.stdout
    assert '60.70' in done.stdout  # the paper's
