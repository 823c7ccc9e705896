"""What docs/en/rasters.md tells readers to paste runs, from the first line to
the last."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_raster

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('onnxruntime')

TEXT = Path('docs/en/rasters.md').read_text()
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r'```shell\n((?:.*\n)*?)```', TEXT)
    for line in block.splitlines()
]
# So that it takes seconds.
SMALLER = dict(
    toy_scenes='--num-train 4 --num-val 2 --size 64 64',
    train='--work-dir work --cfg-options train_cfg.max_iters=2 '
    'train_cfg.val_interval=2 default_hooks.checkpoint.interval=2',
)


def test_every_command(tmp_path):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 65536, (40, 50, 4), dtype=np.uint16)
    place = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    write_raster(
        tmp_path / 'scene.tif', scene, crs='EPSG:32633', transform=place
    )
    for words in COMMANDS:
        if words[0] == 'pip':
            continue
        name = words[1] if words[0] == 'sr4ir' else words[2].split('.')[-1]
        words += shlex.split(SMALLER.get(name, ''))
        words = ['work/iter_2.pth' if w == 'CHECKPOINT' else w for w in words]
        program = ['-m', 'sr4ir_mm'] if words[0] == 'sr4ir' else []
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', *program, *words[1:]],
            cwd=tmp_path,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (words, done.stdout + done.stderr)
    maps = []
    for folder in ('outputs', 'outputs_onnx'):
        with rasterio.open(tmp_path / folder / 'pred/scene.tif') as labels:
            assert labels.shape == (160, 200) and labels.crs == 'EPSG:32633'
            assert labels.transform * (200, 160) == place * (50, 40)
        with rasterio.open(tmp_path / folder / 'sr/scene.tif') as sr:
            maps.append(sr.read().astype(int))
            assert sr.count == 4 and sr.dtypes[0] == 'uint16'
    assert np.abs(maps[0] - maps[1]).max() <= 2
    names = [words[1] for words in COMMANDS if words[0] == 'sr4ir']
    assert names == ['check', 'train', 'infer', 'export', 'infer']
