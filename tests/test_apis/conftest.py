import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny import TASKS, build_model, model_cfg, toy_dataset_cfg

CLASSES = ('sky', 'road', 'tree', 'car', 'sign')
META = dict(
    classes=CLASSES, palette=[[40 * i, 90, 200 - 40 * i] for i in range(5)]
)
TOOLS = Path('tools').absolute()


@pytest.fixture(scope='session')
def write_checkpoint(tmp_path_factory):
    """Write a checkpoint as mmengine does, once for each set of arguments."""
    root, written = tmp_path_factory.mktemp('checkpoints'), {}

    def _write(task='seg', meta=META, **kwargs):
        key = repr((task, meta, kwargs))
        if key not in written:
            dataset = toy_dataset_cfg(task, root, 'val', augment=False)
            cfg = Config(
                dict(
                    default_scope=TASKS[task]['scope'],
                    model=model_cfg(task, **kwargs),
                    test_dataloader=dict(dataset=dataset),
                )
            )
            path = root / f'{len(written)}.pth'
            torch.save(
                dict(
                    state_dict=build_model(task, **kwargs).state_dict(),
                    meta=dict(cfg=cfg.pretty_text, dataset_meta=meta),
                ),
                path,
            )
            written[key] = str(path)
        return written[key]

    return _write


@pytest.fixture(scope='session')
def make_image():
    """BGR, uint8: smooth, so that resizing hardly changes it."""

    def _make(height=20, width=28, seed=0):
        noise = np.random.default_rng(seed).integers(0, 256, (4, 5, 3))
        return cv2.resize(noise.astype(np.uint8), (width, height))

    return _make


@pytest.fixture(scope='session')
def write_video(make_image):
    """Write a video of 28x20 pixels."""

    def _write(path, num=3, fps=10):
        video = cv2.VideoWriter(
            str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, (28, 20)
        )
        for i in range(num):
            video.write(make_image(seed=i))
        video.release()
        return path

    return _write


@pytest.fixture(scope='session')
def load_script():
    """Import a script of ``tools``."""

    def _load(name):
        spec = importlib.util.spec_from_file_location(
            name, TOOLS / f'{name}.py'
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return _load


@pytest.fixture
def run_script(load_script, monkeypatch, capsys):
    """Run a script of ``tools``, and return exit code and output."""

    def _run(name, *args):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        code = 0
        try:
            load_script(name).main()
        except SystemExit as exit:
            code = exit.code
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return _run
