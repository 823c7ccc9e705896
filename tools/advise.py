"""Would it help me, and which recipe? ``python tools/advise.py CONFIG``.

Trains the networks of a config for some minutes: the task model on HR images,
on enlarged LR images, and on both beside those of a short SR network, twice
each. What it looks at are images of ``val_dataloader``, or a part of the
training's, never those of the test. Then it says what is lost at this scale,
whether an SR network brings it back, and how to train.
"""

import argparse

from sr4ir_mm.cli import add_cfg_options, add_debug, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--task-checkpoint',
        metavar='FILE',
        help='a task model that has learnt from HR images, which all start '
        'from (default: as the config starts it)',
    )
    parser.add_argument(
        '--budget',
        type=int,
        default=150,
        metavar='ITERATIONS',
        help='of each short training (default: 150)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='the first of two (default: 0)'
    )
    parser.add_argument('--out', metavar='FILE', help='HTML page of it all')
    parser.add_argument(
        '--work-dir',
        help='where the short trainings go (default: work_dirs/CONFIG)',
    )
    add_cfg_options(parser, 'override settings of the config')
    add_debug(parser)
    parser.set_defaults(launcher='none', local_rank=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)

    from sr4ir_mm.apis.advice import advise
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(cfg, args.debug):
        advise(
            cfg,
            budget=args.budget,
            seed=args.seed,
            task_checkpoint=args.task_checkpoint,
            out=args.out,
        )


if __name__ == '__main__':
    main()
