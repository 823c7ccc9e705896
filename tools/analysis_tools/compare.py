"""Compare methods on single images, as the paper's figures 4-6 and S3-S6:
``python tools/analysis_tools/compare.py CHECKPOINT ... --images 0 7``

Of each image there is a picture with a column for each checkpoint: the image
that it predicts from, with PSNR and LPIPS, a part of it, enlarged, and the
prediction, with the task's metric on this image alone. Images and labels are
those of the first checkpoint's config (``test_dataloader``).
"""

import argparse
import os.path as osp

from sr4ir_mm.cli import add_checkpoint_args, load_models


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_checkpoint_args(parser)
    parser.add_argument(
        '--images',
        nargs='+',
        default=['0'],
        help='numbers in the test set, or parts of paths (default: 0)',
    )
    parser.add_argument(
        '--crop',
        nargs=4,
        type=int,
        metavar=('LEFT', 'TOP', 'WIDTH', 'HEIGHT'),
        help='what to enlarge, in pixels of HR (default: where the images '
        'differ most)',
    )
    parser.add_argument('--out-dir', default='comparisons')
    return parser.parse_args()


def compare(args: argparse.Namespace) -> None:
    from sr4ir_mm.apis.analysis.comparison import (
        build_test_set,
        compare_models,
        draw_comparison,
        find_images,
    )
    from sr4ir_mm.apis.toolboxes import build_pen
    from sr4ir_mm.utils.files import write_image

    models = load_models(args)
    first = next(iter(models.values()))
    dataset = build_test_set(first)
    indices = find_images(dataset, args.images)
    pen = build_pen(first.cfg, first)
    pen.dataset_meta = dataset.metainfo
    comparisons = compare_models(models, dataset, indices)
    for index, answers in zip(indices, comparisons):
        picture = draw_comparison(answers, pen, args.crop)
        sample = next(iter(answers.values())).sample
        stem = osp.splitext(osp.basename(sample.get('img_path', 'image')))[0]
        out = osp.join(args.out_dir, f'{index:05d}_{stem}.png')
        write_image(picture[..., ::-1], out)
        print(out, flush=True)


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        compare(args)


if __name__ == '__main__':
    main()
