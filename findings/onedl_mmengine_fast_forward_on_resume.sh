#!/usr/bin/env bash
# In onedl-mmengine's IterBasedTrainLoop, `fast_forward_on_resume=True` does not
# fast-forward: a resumed training gets the images of the beginning again, and
# those after the checkpoint never, or late. False, the default, goes on.
#
# The option says whether to leave the fast-forward out ("to skip advancing the
# dataloader"), so that its name says the opposite of what it does. Whoever sets
# it to resume quickly and exactly trains twice on the first images; with
# InfiniteSampler's fixed seed, the order is the same, too. A warning in the log
# says that it "may affect reproducibility".
# Seen with onedl-mmengine 0.10.12 and torch 2.14.1, 2026-11-28. What one would
# expect: True to go on, and False, if anything, to begin again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 onedl-mmengine==0.10.12 \
    opencv-python-headless==4.12.0.88
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import shutil

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

seen = []


class Numbers(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, i):
        return dict(inputs=torch.tensor(float(i)))


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='loss'):
        seen.append(int(inputs))
        return dict(loss=(self.weight * inputs).sum())


def train(folder, iters, resume=False, **options):
    seen.clear()
    Runner(
        model=Net(),
        work_dir=folder,
        experiment_name=f'{folder}_{iters}',
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            dataset=Numbers(),
            sampler=dict(type='InfiniteSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=iters, **options),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4)
        ),
        resume=resume,
        log_level='ERROR',
    ).train()
    return list(seen)


whole = train('whole', 8)
train('first', 4)
found = {}
for fast_forward in (False, True):
    shutil.copytree('first', f'resumed_{fast_forward}')
    found[fast_forward] = train(
        f'resumed_{fast_forward}',
        8,
        resume=True,
        fast_forward_on_resume=fast_forward,
    )
print(f'not interrupted: {whole}')
for fast_forward, images in found.items():
    print(f'resumed after 4, fast_forward_on_resume={fast_forward}: {images}')
assert whole == list(range(8)), whole
assert found[False] == [4, 5, 6, 7], found
assert found[True] == [0, 1, 2, 3], found
PYTHON
# Output seen:
# not interrupted: [0, 1, 2, 3, 4, 5, 6, 7]
# resumed after 4, fast_forward_on_resume=False: [4, 5, 6, 7]
# resumed after 4, fast_forward_on_resume=True: [0, 1, 2, 3]
