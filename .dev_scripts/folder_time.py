"""How long predictions of a folder take beside their two networks alone.

    python .dev_scripts/folder_time.py CHECKPOINT FOLDER [FILE.onnx]

Images of one size, one by one; all ways in turn, median of five.
"""

import argparse
import statistics
import tempfile
import time
from typing import Callable, Dict, List

import torch

from sr4ir_mm.apis import SRInferencer
from sr4ir_mm.apis.sources import find_inputs, read_image


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('checkpoint', help='of a segmentor')
    parser.add_argument('folder')
    parser.add_argument('onnx', nargs='?')
    parser.add_argument('--repeats', type=int, default=5)
    return parser.parse_args()


def run_networks(model, size: List[int], number: int, **autocast) -> None:
    lr = torch.rand(1, 3, *size)
    sr_size = tuple(side * model.scale for side in size)
    meta = dict(img_shape=sr_size, ori_shape=sr_size, pad_shape=sr_size)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, **autocast):
        for _ in range(number):
            sr = model.sr_net(lr)
            model.task_model.encode_decode(sr, [meta])


def main() -> None:
    args = parse_args()
    images = find_inputs(args.folder)
    size = read_image(images[0]).shape[:2]
    inferencers = {
        precision: SRInferencer(
            args.checkpoint, precision=precision, show_progress=False
        )
        for precision in ('float32', 'bfloat16')
    }
    if args.onnx:
        inferencers['ONNX'] = SRInferencer(args.onnx, show_progress=False)
    model = inferencers['float32'].model
    number = len(images)
    ways: Dict[str, Callable] = {
        f'networks, {name}': lambda on=on: run_networks(
            model, size, number, enabled=on
        )
        for name, on in (('float32', False), ('bfloat16', True))
    }
    with tempfile.TemporaryDirectory() as out:
        for name, one in inferencers.items():
            for out_dir in ('', out):
                key = f'{name}, {"written" if out_dir else "nothing written"}'
                ways[key] = lambda one=one, out_dir=out_dir: sum(
                    1 for _ in one.stream(images, out_dir=out_dir)
                )
        seconds: Dict[str, List[float]] = {name: [] for name in ways}
        for repeat in range(args.repeats + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if repeat:  # the first is to get warm
                    took = (time.perf_counter() - start) / number
                    seconds[name].append(took)
    medians = {name: statistics.median(took) for name, took in seconds.items()}
    for name, median in medians.items():
        ratio = median / medians['networks, float32']
        print(f'{name:30} {median * 1e3:6.0f} ms {ratio:5.2f}')


if __name__ == '__main__':
    main()
