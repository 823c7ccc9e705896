"""docs/en/first_hour.ipynb runs, and what it says is so."""

import json
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
from mmengine.config import Config

NOTEBOOK = Path('docs/en/first_hour.ipynb')


def test_first_hour(tmp_path, monkeypatch, capsys):
    cells = [
        cell
        for cell in json.loads(NOTEBOOK.read_text())['cells']
        if cell['cell_type'] == 'code'
    ]
    assert not any(cell['outputs'] for cell in cells)
    monkeypatch.chdir(tmp_path)  # and back, in the end
    plt.switch_backend('agg')
    monkeypatch.setattr(plt, 'show', plt.close)
    names = {}
    for cell in cells:
        exec(''.join(cell['source']), names)

    bilinear, sr, hr = map(names['mean_iou'], names['seen'].values())
    assert bilinear + 40 < sr < hr
    # it has gone on from trained networks, by both losses
    runner = names['runner']
    assert runner.iter == 20
    assert runner.message_hub.get_scalar('val/mIoU').current() > 70
    assert runner.message_hub.get_scalar('train/sr/loss_tdp').current() > 0
    wrapped = Config.fromfile('my_segformer.py')
    assert wrapped.model.type == 'sr4ir_mm.SRSegmentor'
    assert 'trains sr_net' in capsys.readouterr().out
    shutil.rmtree(Path.cwd())  # the notebook's folder
