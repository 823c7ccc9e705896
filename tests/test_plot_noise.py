"""tools/analysis_tools/plot_noise.py."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SCRIPT = 'tools/analysis_tools/plot_noise.py'
HEAD = 'network,form,scale,noise,seed,SSIM,accuracy'
LINES = [
    'FSRCNN,sr,2,0,0,0.9,',
    'FSRCNN,sr,2,0.01,0,0.7,',
    'FSRCNN,sr2,2,0,0,0.90,98',
    'FSRCNN,sr2,2,0,1,0.94,96',
    'FSRCNN,sr2,2,0.01,0,0.8,90',
    'FSRCNN,sr2,2,0.01,1,0.8,80',
    'FSRCNN,sr2,4,0.01,0,0.6,70',
]


@pytest.fixture(scope='module')
def plot_noise():
    pytest.importorskip('pandas')
    spec = importlib.util.spec_from_file_location('plot_noise', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def csv(tmp_path):
    def write(head=HEAD, lines=LINES):
        path = tmp_path / 'results.csv'
        path.write_text('\n'.join([head, *lines]))
        return str(path)

    return write


def test_mean_and_std_over_seeds(plot_noise, csv):
    summary = plot_noise.summarize(plot_noise.read_results(csv()))
    two_seeds = summary.loc[('FSRCNN', 'sr2', 2, 0)]
    assert two_seeds['SSIM', 'mean'] == pytest.approx(0.92)
    assert two_seeds['SSIM', 'std'] == pytest.approx(
        np.std([0.9, 0.94], ddof=1)
    )
    assert two_seeds['accuracy', 'mean'] == pytest.approx(97)
    one_seed = summary.loc[('FSRCNN', 'sr2', 4, 0.01)]
    assert one_seed['accuracy', 'mean'] == 70
    assert one_seed['accuracy', 'std'] == 0
    assert summary.loc[('FSRCNN', 'sr', 2, 0)]['accuracy'].isna().all()


def test_curves(plot_noise, csv):
    """SSIM above accuracy, x2 beside x4, and a form has one colour."""
    figure = plot_noise.draw(
        plot_noise.summarize(plot_noise.read_results(csv()))
    )
    curves = [
        {line.get_label(): line for line in ax.get_lines()}
        for ax in figure.axes
    ]
    assert [sorted(one) for one in curves] == [
        ['FSRCNN sr', 'FSRCNN sr2'],
        ['FSRCNN sr2'],
        ['FSRCNN sr2'],
        ['FSRCNN sr2'],
    ]
    accuracy = curves[2]['FSRCNN sr2']
    assert accuracy.get_xdata().tolist() == [0, 0.01]
    assert accuracy.get_ydata().tolist() == [97, 85]
    assert len({one['FSRCNN sr2'].get_color() for one in curves}) == 1
    assert [ax.get_title() for ax in figure.axes] == ['x2', 'x4'] * 2
    band = figure.axes[2].collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(97 + np.std([98, 96], ddof=1))
    assert band.min() == pytest.approx(85 - np.std([90, 80], ddof=1))


def test_no_accuracy_no_row(plot_noise, csv):
    figure = plot_noise.draw(
        plot_noise.summarize(plot_noise.read_results(csv(lines=LINES[:2])))
    )
    assert [ax.get_ylabel() for ax in figure.axes] == ['SSIM']


def test_missing_column(plot_noise, csv):
    path = csv('network,form,scale,noise,SSIM,accuracy', [])
    with pytest.raises(ValueError, match='has no column seed, only network'):
        plot_noise.read_results(path)


def test_a_run_counts_once(plot_noise, csv):
    with pytest.raises(ValueError, match="two lines of .*'seed': 0"):
        plot_noise.read_results(csv(lines=[LINES[0], LINES[0]]))


def test_command_line(tmp_path, csv):
    pytest.importorskip('pandas')
    out = tmp_path / 'noise.png'
    done = subprocess.run(
        [sys.executable, SCRIPT, csv(), out],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '0.920' in done.stdout and '97.000' in done.stdout
    assert np.array(Image.open(out).convert('L')).std() > 0
