"""Someone who has one of the toolboxes alone, without mmagic, can use it."""

import os
import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from tiny import TASKS, runner_cfg, toy_dataset_cfg

CODE = """
import sys
import setuptools  # whose distutils a site has of itself, from 3.12 on
import sr4ir_mm
from mmengine.config import Config
from mmengine.runner import Runner
from sr4ir_mm.registry import MODELS
runner = Runner.from_cfg(Config.fromfile(sys.argv[1]))
runner.train()
print('metrics', runner.test())
for other in sys.argv[2:]:
    try:
        MODELS.get(other)(task_model=dict())
    except ImportError as error:
        print('ImportError', error)
"""
METRICS = dict(
    seg=dict(type='IoUMetric', iou_metrics=['mIoU']),
    det=dict(type='VOCMetric', metric='mAP'),
    cls=dict(type='Accuracy', topk=1),
)


@pytest.mark.parametrize('task', TASKS)
def test_one_toolbox_is_enough(task, toy_root, tmp_path):
    others = [other for other in TASKS if other != task]
    missing = {'mmagic', *(TASKS[other]['scope'] for other in others)}
    packages = tmp_path / 'site-packages'
    packages.mkdir()
    for path in Path(mmengine.__file__).parents[1].iterdir():
        if path.name not in missing and path.suffix != '.pth':
            (packages / path.name).symlink_to(path)

    dataset = dict(toy_dataset_cfg(task, toy_root), indices=2)
    test = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=toy_dataset_cfg(task, toy_root, augment=False),
    )
    cfg = runner_cfg(
        tmp_path / 'work',
        dataset,
        task,
        test_dataloader=test,
        test_evaluator=[METRICS[task], dict(type='sr4ir_mm.SRPSNR')],
        test_cfg=dict(type='TestLoop'),
    )
    Config(cfg).dump(tmp_path / 'config.py')
    done = subprocess.run(
        [
            sys.executable,
            '-S',  # no site-packages but those
            '-W',
            'ignore',
            '-c',
            CODE,
            str(tmp_path / 'config.py'),
            *(TASKS[other]['wrapper'] for other in others),
        ],
        env=dict(os.environ, PYTHONPATH=f'{packages}:.', OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'sr/PSNR' in done.stdout
    for other in others:
        wrapper = TASKS[other]['wrapper']
        package = MODULE2PACKAGE[TASKS[other]['scope']]
        assert (
            f'ImportError {wrapper} needs {package}, which is not installed: '
            f'`pip install {package}`' in done.stdout
        )
