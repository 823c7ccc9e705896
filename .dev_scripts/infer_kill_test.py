"""Kill predictions of a folder at random moments, let them go on, and compare.

Small images are predicted from by two processes (``tools/dist_infer.sh``),
which are ended by SIGKILL and started again. In the end there must be a row
for each image, and the files of a run that one process has done undisturbed:
of a classifier.

    python .dev_scripts/infer_kill_test.py --images 20000 --kills 10
"""

import argparse
import filecmp
import json
import os
import os.path as osp
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import List

import cv2
import numpy as np
from rich.progress import track

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--images', type=int, default=20000)
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--model', default='sign-digits-x4')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', default='work_dirs/infer_kill_test')
    return parser.parse_args()


def start(script: List[str], args: argparse.Namespace, out: str):
    options = ['--out-dir', out, '--batch-size', '16', '--no-save-vis']
    return subprocess.Popen(
        [*script, osp.join(args.work_dir, 'in'), args.model, *options]
        if script[0] == sys.executable
        else [
            *script,
            osp.join(args.work_dir, 'in'),
            args.model,
            '2',
            *options,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1'),
    )


def rows(folder: str) -> List[dict]:
    with open(osp.join(folder, 'results.jsonl')) as file:
        return [json.loads(line) for line in file]


def compare(one: dict, other: dict) -> None:
    """A score may differ in its last digits: after a kill, other images make
    a batch."""
    scores = [row['prediction'].pop('pred_scores') for row in (one, other)]
    np.testing.assert_allclose(*scores, atol=1e-5)
    scores = [row['prediction'].pop('pred_score') for row in (one, other)]
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert one == other, f'rows of {one["name"]} differ'


def main() -> None:
    args = parse_args()
    random.seed(args.seed)
    shutil.rmtree(args.work_dir, ignore_errors=True)
    folder = osp.join(args.work_dir, 'in')
    os.makedirs(folder)
    rng = np.random.default_rng(args.seed)
    for i in range(args.images):
        image = rng.integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(osp.join(folder, f'{i:06d}.png'), image)

    alone, killed = (osp.join(args.work_dir, name) for name in ('1', '2'))
    begin = time.time()
    one = [sys.executable, osp.join(ROOT, 'tools/infer.py')]
    assert start(one, args, alone).wait() == 0
    seconds = time.time() - begin
    print(f'one process: {seconds:.0f} s, {args.images / seconds:.0f}/s')

    several = ['bash', osp.join(ROOT, 'tools/dist_infer.sh')]
    for kill in range(args.kills):
        process = start(several, args, killed)
        wait = random.uniform(8, 8 + 2 * seconds / args.kills)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        print(f'kill {kill + 1} after {wait:.1f} s', flush=True)
    begin = time.time()
    assert start(several, args, killed).wait() == 0
    print(f'to the end: {time.time() - begin:.0f} s')

    assert len(rows(killed)) == args.images, 'rows are missing'
    for one, other in track([*zip(rows(alone), rows(killed))], 'Comparing'):
        compare(one, other)
        name = one['files']['sr']
        assert filecmp.cmp(
            osp.join(alone, name), osp.join(killed, name), shallow=False
        ), f'{name} differs'
    files = [sum(len(f) for _, _, f in os.walk(x)) for x in (alone, killed)]
    assert files[0] == files[1], f'files are left over: {files}'
    print(f'{args.images} rows and all files equal after {args.kills} kills')


if __name__ == '__main__':
    main()
