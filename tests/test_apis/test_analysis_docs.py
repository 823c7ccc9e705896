"""The commands of docs/en/analysis.md, run as they are written."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import mmengine
import pytest
import torch
from mmcv.image import imread
from mmengine.config import Config
from test_comparison import make_models
from tiny import model_cfg, toy_dataset_cfg

from sr4ir_mm.__main__ import COMMANDS as OF_SR4IR

pytest.importorskip('sklearn')
pytest.importorskip('plotly')
pytest.importorskip('pytorch_grad_cam')
TEXT = Path('docs/en/analysis.md').read_text()
BLOCKS = re.findall(
    r'```shell\n((?:python tools/analysis_tools|sr4ir ).*?)```', TEXT, re.S
)
COMMANDS = [shlex.split(block.replace('\\\n', ' '))[1:] for block in BLOCKS]
for command in COMMANDS:  # `sr4ir NAME` is a script
    if command[0] in OF_SR4IR:
        command[0] = f'tools/{OF_SR4IR[command[0]][1]}'
# what a command writes, by its script or subcommand
WRITES = dict(
    compare='comparisons/*.png',
    spectra='spectra.png',
    tsne='tsne.png',
    gradcam='gradcam.png',
    report='report.html',
)


@pytest.fixture(scope='module')
def work_dirs(toy_root, tmp_path_factory):
    """The trainings that the page speaks of, with tiny networks."""
    root = tmp_path_factory.mktemp('analysis')
    lr = dict(sr_net=None, view='bilinear')
    for method, model in make_models('seg', toy_root, l2t=lr).items():
        folder = root / 'work_dirs' / f'{method.lower()}_unet_toy_x4'
        log = folder / '20260101_000000' / 'vis_data'
        log.mkdir(parents=True)
        options = lr if method == 'l2t' else {}
        cfg = Config(
            dict(
                model.cfg,
                model=model_cfg('seg', phases=[], **options),
                visualizer=dict(type='SegLocalVisualizer'),
            )
        )
        cfg.dump(log / 'config.py')
        mmengine.put_text(
            '{"loss": 1.0, "time": 1.0, "data_time": 0.1, "step": 1}\n',
            str(log / 'scalars.json'),
        )
        meta = dict(
            cfg=cfg.pretty_text,
            dataset_meta=toy_dataset_cfg('seg', toy_root)['metainfo'],
        )
        torch.save(
            dict(meta=meta, state_dict=model.state_dict()),
            folder / 'iter_800.pth',
        )
    images = toy_root / 'JPEGImages'
    (root / 'data' / 'sr_benchmarks').mkdir(parents=True)
    (root / 'data' / 'sr_benchmarks' / 'Set5').symlink_to(images)
    return root


@pytest.mark.parametrize(
    'command', COMMANDS, ids=lambda c: ' '.join(c[:2])[21:48]
)
def test_command(work_dirs, monkeypatch, capsys, command):
    script = str(Path(command[0]).absolute())
    monkeypatch.chdir(work_dirs)
    monkeypatch.setattr(sys, 'argv', command)
    monkeypatch.syspath_prepend(str(Path(script).parent))
    runpy.run_path(script, run_name='__main__')
    name = Path(script).stem
    name = command[1] if name == 'analyze' else name
    if name == 'sr_benchmarks':
        assert re.search(r'bicubic, x4 +\d+\.\d\d', capsys.readouterr().out)
        return
    if name == 'bootstrap':
        assert re.search(r'SR4IR \| .* to .* to ', capsys.readouterr().out)
        return
    written = list(work_dirs.glob(WRITES[name]))
    assert len(written) == (2 if name == 'compare' else 1)
    for path in written:
        if path.suffix == '.png':
            assert imread(str(path)).std() > 10
        else:
            assert 'sr4ir_unet_toy_x4' in path.read_text()


def test_every_command_and_picture_is_there():
    assert len(COMMANDS) == 7
    for picture in re.findall(r'\]\(\.\./images/(.*?)\)', TEXT):
        assert Path('docs/images', picture).is_file(), picture
