#!/usr/bin/env bash
# A second mmengine Runner in a process writes its log of figures and its
# pictures into the first one's folder.
#
# The toolboxes' configs have `visualizer = dict(..., name='visualizer')`
# (mmseg and mmdet, _base_/default_runtime.py). A visualizer is built once for
# each name: the second Runner gets the first one's, which keeps the folder and
# the back ends that it had, and says nothing. Trainings in a notebook, a
# sweep in a loop: the second work_dir has no vis_data/scalars.json, the first
# one's has both runs. Without the name, each Runner has its own, unless both
# are built in the same second: the name is then the time.
# Seen with mmengine 0.10.7 and torch 2.11.0, 2026-11-28. What one would expect:
# figures in the work_dir of the run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.11.0 mmengine==0.10.7 \
    'numpy<3' 'setuptools<81'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import time
from pathlib import Path

import mmengine
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, mode):
        return dict(loss=(self.weight * x).mean())


def train(work_dir, iterations, **options):
    visualizer = dict(
        type='Visualizer',
        vis_backends=[dict(type='LocalVisBackend')],
        **options,
    )
    runner = Runner(
        Line(),
        work_dir=work_dir,
        train_dataloader=dict(
            batch_size=1,
            dataset=[dict(x=torch.ones(1))] * 4,
            sampler=dict(type='InfiniteSampler'),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        log_processor=dict(by_epoch=False),
        visualizer=visualizer,
        log_level='ERROR',
    )
    runner.train()
    time.sleep(1.1)  # else both have the time in common


def lines(name):
    found = list(Path(name).glob('*/vis_data/scalars.json'))
    text = ''.join(path.read_text() for path in found)
    return len([json.loads(line) for line in text.splitlines()])


train('first', 2, name='visualizer')
train('second', 3, name='visualizer')
train('third', 2)
train('fourth', 3)
found = {name: lines(name) for name in ('first', 'second', 'third', 'fourth')}
print(f'mmengine {mmengine.__version__}: figures logged by runs of 2, 3, 2 '
      f'and 3 iterations: {found}')
assert found == dict(first=5, second=0, third=2, fourth=3), found
PYTHON
