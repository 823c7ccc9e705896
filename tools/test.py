"""Test a model: ``python tools/test.py CONFIG CHECKPOINT``."""

from __future__ import annotations

import argparse
import os.path as osp
from typing import TYPE_CHECKING

from sr4ir_mm.cli import add_common_args, load_config, load_network
from sr4ir_mm.model_zoo import find_checkpoint, suggest_models

if TYPE_CHECKING:
    from mmengine.config import Config

TTA_MODELS = dict(
    mmseg=dict(type='SegTTAModel'),
    mmdet=dict(
        type='DetTTAModel',
        tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
    ),
    mmpretrain=dict(type='AverageClsScoreTTA'),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test (and evaluate) a model')
    add_common_args(parser)
    parser.add_argument(
        'checkpoint', help='checkpoint file, or a model of the zoo'
    )
    parser.add_argument(
        '--sr-net',
        metavar='CHECKPOINT',
        help='take the SR network from this other checkpoint',
    )
    parser.add_argument(
        '--out',
        help='file (.pkl) for the predictions, for offline evaluation; for '
        'segmentation otherwise a folder, for images',
    )
    parser.add_argument(
        '--show', action='store_true', help='show panels in a window'
    )
    parser.add_argument(
        '--show-dir', help='folder for panels: LR, SR, HR and predictions'
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds to show each panel'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation'
    )
    args = parser.parse_args()
    if args.tta and (args.show or args.show_dir):
        parser.error(
            'panels show one image each: --tta and --show[-dir] '
            'exclude each other'
        )
    if not args.checkpoint.startswith(
        ('http://', 'https://')
    ) and not osp.isfile(find_checkpoint(args.checkpoint)):
        parser.error(
            f'there is no checkpoint {args.checkpoint!r}.'
            f'{suggest_models(args.checkpoint)}'
        )
    return args


def apply_test_options(cfg: Config, args: argparse.Namespace) -> None:
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        cfg.default_hooks.visualization.update(draw=True)
        if args.show:
            cfg.default_hooks.visualization.update(
                show=True, wait_time=args.wait_time
            )
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    metrics = cfg.test_evaluator
    if isinstance(metrics, dict):
        metrics = [metrics]
    if args.tta:
        add_tta(cfg)
        print('--tta: image metrics, which are of one SR image, are left out.')
        metrics = [m for m in metrics if not m.type.startswith('sr4ir_mm.SR')]
    if args.out:
        if args.out.endswith(('.pkl', '.pickle')):
            dump = dict(type='sr4ir_mm.DumpPredictions')
            metrics = [*metrics, dict(dump, out_file_path=args.out)]
        elif cfg.default_scope == 'mmseg':  # its metric writes them
            metrics[0].update(output_dir=args.out, keep_results=True)
        else:
            raise SystemExit(f'--out {args.out}: expected a file, *.pkl')
    cfg.test_evaluator = metrics


def add_tta(cfg: Config) -> None:
    """Average over what a config's `tta_pipeline` makes of an image, by its
    `tta_model`, or by default over the image and its mirror image."""
    *pipeline, pack = cfg.test_dataloader.dataset.pipeline
    flips = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
    both = dict(type='TestTimeAug', transforms=[flips, [pack]])
    cfg.setdefault('tta_pipeline', [*pipeline, both])
    cfg.setdefault('tta_model', TTA_MODELS[cfg.default_scope])
    cfg.get('default_hooks', {}).get('visualization', {}).update(draw=False)
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def main() -> None:
    args = parse_args()
    from mmengine.registry import RUNNERS

    from sr4ir_mm.utils.mistakes import one_sentence

    cfg = load_config(args)
    with one_sentence(cfg, args.debug):
        apply_test_options(cfg, args)
        runner = RUNNERS.build(cfg)
        if args.sr_net:
            # first, so that the runner does not do so later
            runner.load_checkpoint(args.checkpoint, absent=['sr_net'])
            load_network(runner.model, 'sr_net', args.sr_net)
        runner.test()


if __name__ == '__main__':
    main()
