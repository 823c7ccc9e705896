"""Look at data before a training: ``python tools/check.py CONFIG``.

It needs no GPU and trains nothing. It counts images and labels of each class,
what is left out and why, and what must be or may be wrong: between the files,
the annotations, the classes of all splits, and the heads of the model.
"""

import argparse
import sys

from sr4ir_mm.cli import add_common_args, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_args(parser)
    parser.add_argument(
        '--out', help='HTML file: the tables, and what the networks will see'
    )
    parser.add_argument(
        '--num-pictures', type=int, default=4, help='in it (default: 4)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from sr4ir_mm.apis.data_check import check
    from sr4ir_mm.utils.mistakes import one_sentence

    cfg = load_config(args)
    with one_sentence(cfg, args.debug):
        good = check(cfg, args.out, args.num_pictures)
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
