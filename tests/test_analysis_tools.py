"""The scripts of tools/analysis_tools on runs and networks that are tiny."""

import csv
import shutil
import sys

import mmengine
import pytest
from mmengine.config import Config
from tiny import SR4IR

sys.path[:0] = ['tools/analysis_tools', '.dev_scripts/evidence']
import collect_runs  # noqa: E402

# ------------------------------------------------------------- collected runs

SPLIT = [
    dict(name='sr', trains='sr_net', losses=[], end=0.5),
    dict(name='task', trains='task_model', losses=[], begin=0.5),
]


@pytest.fixture
def work_dir(tmp_path):
    """Two seeds of S -> T and SR4IR, one of the oracle, one not finished."""

    def write(name, seed, task, psnr, phases=SPLIT, iters=200, **kwargs):
        folder = tmp_path / 'work' / name
        mmengine.mkdir_or_exist(folder / f'seed_{seed}')
        cfg = dict(model=dict(phases=phases), train_cfg=dict(max_iters=iters))
        cfg.update(kwargs)
        Config(cfg).dump(folder / f'seed_{seed}.py')
        metrics = {'mIoU': task, 'sr/PSNR': psnr, 'sr/SSIM': 0.5}
        mmengine.dump(
            dict(metrics=metrics, seconds=60.2),
            folder / f'seed_{seed}' / 'results.json',
        )

    write('s2t_net_data_x8', 0, 40.0, 20.0)
    write('s2t_net_data_x8', 1, 42.0, 21.0)
    write('sr4ir_net_data_x8', 0, 44.0, 19.0, SR4IR, 100)
    write('sr4ir_net_data_x8', 1, 45.0, 19.0, SR4IR, 100)
    write('h2t_net_data', 0, 60.0, float('inf'), SR4IR[1:], 100)
    weights = dict(
        sr_net='work/sr_net_data_x8/seed_0/iter_100.pth',
        task_model='work/h2t_net_data/seed_0/iter_100.pth',
    )
    name = 'sr4ir_net_data_x8_on_sr_net_data_x8_h2t_net_data'
    write(name, 0, 38.0, 21.0, weights=weights)
    write('sr4ir_net_data_x8', 7, 49.0, 19.0, SR4IR, 400)
    hooks = [dict(type='sr4ir_mm.PreciseBNHook')]
    write('s2t_net_data_x8', 2, 50.0, 22.0, custom_hooks=hooks)
    loss = dict(type='sr4ir_mm.TaskLoss', views={'sr+hr': 1.0})
    phases = [SR4IR[0], dict(SR4IR[1], losses=[loss])]
    write(
        'one-batch_net_data_x8', 0, 46.0, 19.0, phases, 100, custom_hooks=hooks
    )
    mmengine.mkdir_or_exist(tmp_path / 'work' / 'l2t_net_data_x8' / 'seed_0')
    return tmp_path / 'work'


def test_runs_are_collected(work_dir, tmp_path, monkeypatch):
    page = tmp_path / 'page.md'
    start = '<!-- table net_data_x8 -->'
    page.write_text(f'A\n{start}\nold\n<!-- end -->\nB\n')
    out = tmp_path / 'out'
    argv = ['collect', str(work_dir), '--out', str(out), '--page', str(page)]
    monkeypatch.setattr(sys, 'argv', argv)
    collect_runs.main()
    with open(out / 'runs.csv') as file:
        rows = list(csv.DictReader(file))
    assert [(r['method'], r['seed']) for r in rows] == [
        ('h2t', '0'),
        ('sr+h2t', '0'),
        ('s2t', '2'),
        ('s2t', '0'),
        ('s2t', '1'),
        ('sr4ir', '0'),
        ('sr4ir', '1'),
        ('sr4ir', '7'),
        ('one-batch', '0'),
    ]
    norms = [row['batch_norm'] for row in rows]
    assert norms == [*['running'] * 2, 'precise', *['running'] * 6]
    assert rows[3]['task'] == '40.0' and rows[3]['seconds'] == '60'
    assert (rows[1]['sr_updates'], rows[1]['task_updates']) == ('0', '0')
    # the same number of updates of each network
    counts = [(row['sr_updates'], row['task_updates']) for row in rows[3:]]
    assert counts == [*[('100',) * 2] * 4, ('400',) * 2, ('100',) * 2]
    text = page.read_text()
    assert 'old' not in text and text.startswith('A\n') and '\nB\n' in text
    lines = [line for line in text.split('\n') if line.startswith('|')]
    assert lines[2].startswith('| H -> T | running | 60.00 | inf |')
    assert lines[3].startswith('| S, T of H -> T | running | 38.00 |')
    assert lines[4].startswith('| S -> T | precise | 50.00 | 22.00 |')
    assert lines[5].startswith('| S -> T | running | 41.00 ± 1.41 | 20.50 ±')
    assert lines[6].startswith('| SR4IR | running | 44.50 ± 0.71 | 19.00 ±')
    assert lines[7].startswith('| SR4IR | running | 49.00 | 19.00 | ')
    assert '| 400 / 400 |' in lines[7]
    assert (out / 'net_data_x8.png').stat().st_size > 1000


def test_runs_stay_on_record_without_their_folders(
    work_dir, tmp_path, monkeypatch
):
    out = tmp_path / 'out'

    def collect():
        argv = ['collect', str(work_dir), '--out', str(out)]
        monkeypatch.setattr(sys, 'argv', argv)
        collect_runs.main()
        return (out / 'runs.csv').read_text()

    text = collect()
    shutil.rmtree(work_dir / 's2t_net_data_x8')
    assert collect() == text
    path = work_dir / 'sr4ir_net_data_x8' / 'seed_1' / 'results.json'
    results = mmengine.load(path)
    results['metrics']['mIoU'] = 46.0
    mmengine.dump(results, path)
    assert collect() == text.replace('mIoU,45.0', 'mIoU,46.0')


def test_no_finished_run(tmp_path, monkeypatch):
    argv = ['collect', str(tmp_path), '--out', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(SystemExit, match='No finished run'):
        collect_runs.main()


def test_config_of_a_stranger_is_not_run(work_dir, tmp_path):
    config = work_dir / 'h2t_net_data' / 'seed_0.py'
    config.write_text(f'import os; os.mkdir({str(tmp_path / "ran")!r})')
    with pytest.raises(ValueError, match='seed_0.py is more than data'):
        collect_runs.read_runs([str(work_dir)], '')
    assert not (tmp_path / 'ran').exists()


# ------------------------------------------------------------ what they show


def rows_of(**scores):
    """Runs by method: (task, PSNR, TFD) of each seed."""
    return {
        (method, 'precise', 200, 200): [
            dict(
                scale='x4',
                seed=seed,
                task=task,
                PSNR=psnr,
                SSIM='',
                LPIPS='',
                TFD=tfd,
            )
            for seed, (task, psnr, tfd) in enumerate(values)
        ]
        for method, values in scores.items()
    }


def test_differences_are_seed_by_seed():
    s2t = [(task, 20, 1) for task in (10, 20, 30)]
    ours = [(task, 20, 1) for task in (13, 22, 31)]  # 3, 2, 1 ahead
    rows = rows_of(s2t=s2t, sr4ir=ours)
    reference, mine = rows.values()
    # 2 +- t(.975, 2) / sqrt(3) = 2 +- 4.303 * .577
    assert collect_runs.difference(mine, reference) == '+2.0 (-0.5 to +4.5)'
    # of the same seeds, in any order; not of itself, nor of two seeds
    assert collect_runs.difference(mine[::-1], reference) == (
        '+2.0 (-0.5 to +4.5)'
    )
    assert not collect_runs.difference(reference, reference)
    assert not collect_runs.difference(mine[:2], reference)


def test_ranks_of_image_metrics():
    rows = rows_of(
        s2t=[(10, 20, 4)],
        sr4ir=[(12, 19, 3)],
        l2t=[(13, 18, 2)],
        joint=[(14, 21, 1)],
    )
    h2t = rows_of(h2t=[(90, float('inf'), 0)])
    next(iter(h2t.values()))[0]['scale'] = ''
    *_, line = collect_runs.write_ranks(dict(a_x4={**h2t, **rows})).split('\n')
    # PSNR's order is 3 2 1 4, TFD's that of the task
    assert line == '| a_x4 | +0.20 |  |  | +1.00 | 4 |'
