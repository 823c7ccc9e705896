"""How long the networks take for an image, in PyTorch and as exported:
``python tools/analysis_tools/predict_time.py CHECKPOINT FILE.onnx...``.

Random images, one at a time; medians, each in turn with the others, by the
clock and in CPU time. Where other processes have the machine, too, the latter
tells more, with one thread. What is timed in PyTorch is what the files do.
OpenVINO takes part where it is installed, in single precision: by itself it
takes bfloat16 where the processor has it.
"""

import argparse
import os
from importlib.util import find_spec
from statistics import median
from time import perf_counter, process_time
from typing import Any, Callable, Dict, Tuple

from sr4ir_mm.cli import add_debug


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint')
    parser.add_argument(
        'files', nargs='+', metavar='FILE.onnx', help='of sr4ir export'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=[120, 120],
        metavar=('H', 'W'),
        help='of the LR images (default: 120 120)',
    )
    parser.add_argument(
        '--threads', type=int, default=2, help='of each (default: 2)'
    )
    parser.add_argument(
        '--repeats', type=int, default=5, help='timed (default: 5)'
    )
    add_debug(parser)
    return parser.parse_args()


def in_pytorch(checkpoint: str, images: Any, threads: int) -> Callable:
    import torch

    from sr4ir_mm.apis import init_model
    from sr4ir_mm.apis.deployment import make_deployable

    torch.set_num_threads(threads)
    deployable = make_deployable(init_model(checkpoint, device='cpu'))
    images = torch.from_numpy(images)
    return torch.no_grad()(lambda: deployable(images))


def in_onnxruntime(file: str, images: Any, threads: int) -> Callable:
    from sr4ir_mm.apis.onnx_inferencer import start_session

    session = start_session(file, threads=threads)
    return lambda: session.run(None, dict(images=images))


def in_openvino(file: str, images: Any, threads: int) -> Callable:
    import openvino

    model = openvino.compile_model(
        file,
        'CPU',
        dict(INFERENCE_PRECISION_HINT='f32', INFERENCE_NUM_THREADS=threads),
    )
    return lambda: model(dict(images=images))


def measure(
    ways: Dict[str, Callable[[], Any]], repeats: int
) -> Dict[str, Tuple[float, float]]:
    """Seconds by the clock, and of CPU time, by name."""
    times = {name: [] for name in ways}
    for round in range(2 + repeats):
        for name, way in ways.items():
            start = perf_counter(), process_time()
            way()
            end = perf_counter(), process_time()
            if round >= 2:
                times[name].append([e - s for s, e in zip(start, end)])
    return {
        name: tuple(map(median, zip(*each))) for name, each in times.items()
    }


def run(args: argparse.Namespace) -> None:
    import numpy as np

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (1, 3, *args.size), np.uint8)
    given = images, args.threads
    ways = {f'PyTorch, {args.checkpoint}': in_pytorch(args.checkpoint, *given)}
    for file in args.files:
        ways[f'onnxruntime, {file}'] = in_onnxruntime(file, *given)
        if find_spec('openvino'):
            ways[f'OpenVINO, {file}'] = in_openvino(file, *given)
    before = os.getloadavg()[0]
    seconds = measure(ways, args.repeats)
    first = next(iter(seconds.values()))
    for name, pair in seconds.items():
        clock, cpu = (
            f'{1000 * value:6.0f} ms {value / other:5.2f}'
            for value, other in zip(pair, first)
        )
        print(f'{clock} {cpu} of CPU  {name}')
    print(
        f'{args.threads} threads, median of {args.repeats}, load '
        f'{before:.1f} before, {os.getloadavg()[0]:.1f} after'
    )


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        run(args)


if __name__ == '__main__':
    main()
