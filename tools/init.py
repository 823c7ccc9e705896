"""Write a config for your own images: ``sr4ir init FOLDER``.

Understood are masks beside images, COCO JSON, VOC XML, YOLO, a folder for each
class, and CSV files. Nothing in the folder is changed.
"""

import argparse
import sys

from sr4ir_mm.cli import add_debug


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('data', help='folder of images and their labels')
    parser.add_argument(
        '--out',
        help='config to write (default: FOLDER_xSCALE.py here); lists of '
        'images are written beside it',
    )
    parser.add_argument(
        '--task',
        choices=['seg', 'det', 'cls'],
        help='masks, boxes or classes, where a folder has several',
    )
    parser.add_argument(
        '--model',
        default='small',
        help='small, base (that of the paper), or a config of a toolbox, such '
        'as mmseg::segformer/....py (default: small)',
    )
    parser.add_argument(
        '--scale',
        type=int,
        help='between LR and HR (default: chosen from the sizes of images and '
        'objects)',
    )
    add_debug(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from sr4ir_mm.apis.new_config import init
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        status = init(args.data, args.out, args.task, args.model, args.scale)
    sys.exit(status)


if __name__ == '__main__':
    main()
