"""Compare methods on single images, as the paper's figures 4-6 and S3-S6:
``python tools/analysis_tools/compare.py CHECKPOINT ... --images 0 7``

Of each image there is a picture with a column for each checkpoint: the image
that it predicts from, with PSNR and LPIPS, a part of it, enlarged, and the
prediction, with the task's metric on this image alone. Images and labels are
those of the first checkpoint's config (``test_dataloader``).
"""

import argparse
import os.path as osp

from mmcv.image import imwrite
from mmengine.config import DictAction
from mmengine.registry import VISUALIZERS, DefaultScope

from sr4ir_mm.apis import init_model
from sr4ir_mm.apis.comparison import (
    build_test_set,
    compare_models,
    find_images,
)
from sr4ir_mm.visualization import draw_comparison, make_pen


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoints', nargs='+', help='of one task, by whatever recipes'
    )
    parser.add_argument(
        '--names',
        nargs='+',
        help='one for each checkpoint (default: its folder)',
    )
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
    parser.add_argument('--device', help='default: the best there is')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='for the configs of all checkpoints, e.g. '
        'test_dataloader.dataset.data_root=PATH',
    )
    args = parser.parse_args()
    if args.names is None:
        args.names = default_names(args.checkpoints)
    if len(set(args.names)) != len(args.checkpoints):
        parser.error(
            f'--names {" ".join(args.names)}: give each of the '
            f'{len(args.checkpoints)} checkpoints a name of its own.'
        )
    return args


def default_names(checkpoints: list) -> list:
    """The checkpoints' folders, or where these are alike, the files too."""
    folders = [osp.basename(osp.dirname(osp.abspath(c))) for c in checkpoints]
    return [
        folder
        if folders.count(folder) == 1
        else osp.join(folder, osp.basename(checkpoint))
        for folder, checkpoint in zip(folders, checkpoints)
    ]


def main() -> None:
    args = parse_args()
    models = {
        name: init_model(path, None, args.device, args.cfg_options)
        for name, path in zip(args.names, args.checkpoints)
    }
    first = models[args.names[0]]
    dataset = build_test_set(first)
    indices = find_images(dataset, args.images)
    with DefaultScope.overwrite_default_scope(first.cfg.default_scope):
        kind = VISUALIZERS.get(first.cfg.visualizer.type)
    pen = make_pen(kind, dataset.metainfo)
    comparisons = compare_models(models, dataset, indices)
    for index, answers in zip(indices, comparisons):
        picture = draw_comparison(answers, pen, args.crop)
        path = answers[args.names[0]].sample.get('img_path', 'image')
        stem = osp.splitext(osp.basename(path))[0]
        out = osp.join(args.out_dir, f'{index:05d}_{stem}.png')
        imwrite(picture[..., ::-1], out)
        print(out, flush=True)


if __name__ == '__main__':
    main()
