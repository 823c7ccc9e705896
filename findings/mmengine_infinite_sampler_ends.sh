#!/usr/bin/env bash
# A data loader with mmengine's InfiniteSampler gives batches once: after a
# `break`, the next loop over it is over at once, and so is any other iterator
# of it.
#
# The sampler makes one generator when it is built, and every iterator hands
# out what that generator yields. To leave a loop closes the iterator, which
# closes the generator behind all of them. So a hook that looks at ten batches
# of `runner.train_dataloader` (to recompute BatchNorm, to find a learning rate,
# to draw) ends the training that goes on beside it, and a notebook that looks
# at a batch twice sees none the second time, without a word; with
# DefaultSampler both work. mmseg's and mmagic's configs that count iterations
# have InfiniteSampler. A loader of one's own for each look is safe.
# Seen with mmengine 0.10.7 and torch 2.11.0, 2026-11-28. What one would expect:
# a fresh start, as DefaultSampler does, or to go on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.11.0 mmengine==0.10.7 \
    'numpy<3' 'setuptools<81'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from itertools import islice

from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader

data = list(range(8))


def look(loader):
    batches = []
    for batch in loader:
        batches.append(batch.tolist())
        if len(batches) == 2:
            break
    return batches


results = {}
for sampler in (DefaultSampler, InfiniteSampler):
    for workers in (0, 2):
        loader = DataLoader(
            data, 2, sampler=sampler(data, shuffle=False), num_workers=workers
        )
        looks = [look(loader) for _ in range(2)]
        print(f'{sampler.__name__}, {workers} workers: {looks}')
        results[sampler, workers] = looks

loader = DataLoader(data, 2, sampler=InfiniteSampler(data, shuffle=False))
training = iter(loader)
first = next(training).tolist()
look(loader)  # what a hook does
rest = [batch.tolist() for batch in islice(training, 3)]
print(f'a training that somebody looked beside: {first}, then {rest}')

for workers in (0, 2):
    assert results[DefaultSampler, workers] == [[[0, 1], [2, 3]]] * 2, results
    assert results[InfiniteSampler, workers][1] == [], results
assert first == [0, 1] and rest == [], (first, rest)
PYTHON
# Output seen:
# DefaultSampler, 0 workers: [[[0, 1], [2, 3]], [[0, 1], [2, 3]]]
# DefaultSampler, 2 workers: [[[0, 1], [2, 3]], [[0, 1], [2, 3]]]
# InfiniteSampler, 0 workers: [[[0, 1], [2, 3]], []]
# InfiniteSampler, 2 workers: [[[0, 1], [2, 3]], []]
# a training that somebody looked beside: [0, 1], then []
