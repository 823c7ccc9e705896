"""Train a model: ``python tools/train.py CONFIG``."""

import argparse

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS

from sr4ir_mm.cli import add_common_args, load_config
from sr4ir_mm.mistakes import one_sentence


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    add_common_args(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
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


def apply_training_options(cfg: Config, args: argparse.Namespace) -> None:
    if args.amp:
        for wrapper in cfg.optim_wrapper.values():
            if isinstance(wrapper, dict):
                wrapper.type = (
                    'sr4ir_mm.BF16OptimWrapper'
                    if get_device() == 'cpu'  # which has no float16
                    else 'AmpOptimWrapper'
                )
    if args.auto_scale_lr:
        if cfg.get('auto_scale_lr', {}).get('base_batch_size') is None:
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict('
                'base_batch_size=...) in the config.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        # with none given, the runner looks for the latest one
        cfg.load_from = None if args.resume == 'auto' else args.resume


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    with one_sentence(cfg, args.debug):
        apply_training_options(cfg, args)
        RUNNERS.build(cfg).train()


if __name__ == '__main__':
    main()
