"""Time and memory of a training iteration, by phase and part, and of
prediction: ``python tools/analysis_tools/step_time.py CONFIG...``.

Trains the networks of each config from random weights on random images, with
all losses active, as ``tools/train.py`` would. With ``--reference``, the plain
loop of tests/reference.py does the same beside it, on torchvision's networks.
Every measurement has a process of its own. Times are medians. Memory is the
peak of training above what the process, or the device, held before.
"""

import argparse

from sr4ir_mm.cli import add_cfg_options


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument(
        '--size',
        nargs=3,
        type=int,
        metavar=('HEIGHT', 'WIDTH', 'BATCH'),
        help='of the HR images (default: 480 480 2 for segmentation, '
        '375 500 2 for detection, 224 224 8 for classification)',
    )
    parser.add_argument(
        '--iters', type=int, default=5, help='timed iterations (default: 5)'
    )
    parser.add_argument(
        '--warmup', type=int, default=2, help='iterations before (default: 2)'
    )
    parser.add_argument(
        '--reference',
        action='store_true',
        help="for configs of the paper's task networks (DeepLabV3 or Faster "
        'R-CNN on MobileNetV3, ResNet18) and EDSR-baseline x4',
    )
    parser.add_argument(
        '--no-predict', action='store_true', help='measure training only'
    )
    parser.add_argument(
        '--data',
        action='store_true',
        help="measure the config's own training data only: images per second "
        'of the loader, in the second epoch',
    )
    parser.add_argument('--out', help='JSON file for the figures')
    add_cfg_options(parser, 'override settings of the configs')
    return parser.parse_args()


def show(figures: dict) -> None:
    for name in ('ours', 'plain'):
        if name in figures:
            seconds, memory = (figures[name][k] for k in ('seconds', 'memory'))
            print(f'  {name:8}{seconds:8.3f} s/iter {memory:8.0f} MiB')
            for part, value in figures[name].get('parts', {}).items():
                print(f'    {value:8.3f} s  {part}')
    if 'plain' in figures:
        ratios = [
            figures['ours'][key] / figures['plain'][key]
            for key in ('seconds', 'memory')
        ]
        print('  ratio   {:8.2f}        {:8.2f}'.format(*ratios))
    if 'loading' in figures:
        num, rate = figures['loading'].values()
        print(f'  loader  {rate:8.1f} images/s, of {num}')
    if 'predict' in figures:
        wrapper, networks = figures['predict'].values()
        print(
            f'  predict {wrapper:8.3f} images/s; by its networks alone '
            f'{networks:.3f}, {networks / wrapper - 1:+.1%}'
        )


def main() -> None:
    args = parse_args()
    import mmengine
    import torch
    from stopwatch import measure

    print(
        f'PyTorch {torch.__version__}, {torch.get_num_threads()} threads, '
        + (
            torch.cuda.get_device_name()
            if torch.cuda.is_available()
            else 'CPU'
        )
    )
    results = {}
    for path in args.configs:
        print(path, flush=True)
        results[path] = measure(path, args)
        show(results[path])
    if args.out:
        mmengine.dump(results, args.out, indent=2)


if __name__ == '__main__':
    main()
