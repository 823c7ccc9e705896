"""Train a model: ``python tools/train.py CONFIG``."""

import argparse

from sr4ir_mm.cli import add_common_args, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    add_common_args(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const=True,
        help='go on from this checkpoint, or from the latest one of the run '
        'in the working directory if none is given; settings may differ',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in automatic mixed precision'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rates with the global batch size',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmengine.runner import find_latest_checkpoint

    from sr4ir_mm.apis.training import run_training
    from sr4ir_mm.utils.mistakes import one_sentence

    cfg = load_config(args)
    with one_sentence(cfg, args.debug):
        runner = run_training(cfg, args.resume, args.amp, args.auto_scale_lr)
    checkpoint = find_latest_checkpoint(runner.work_dir)
    if runner.rank == 0 and checkpoint:
        print(f'Next: sr4ir test {cfg.filename} {checkpoint}')


if __name__ == '__main__':
    main()
