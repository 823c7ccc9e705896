"""SR4IR on toy scenes: write them, train, test, draw (``tools/demo.sh``)."""

from __future__ import annotations

import argparse
import glob
import os.path as osp
from typing import TYPE_CHECKING

from sr4ir_mm.cli import add_common_args, load_config

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = dict(
    seg='toy/sr4ir_unet_toy_x4',
    det='toy/sr4ir_fcos_toy_x4',
    cls='toy/sr4ir_resnet18_toy_x4',
)
VIEWS = dict(bilinear='LR, enlarged', sr='SR', hr='HR (oracle)')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_args(
        parser,
        nargs='?',
        default='seg',
        help='seg, det or cls: what is to be recognised; or a config of toy '
        'scenes (default: seg)',
    )
    args = parser.parse_args()
    args.config = CONFIGS.get(args.config, args.config)
    return args


def run(cfg: Config) -> None:
    from mmengine.device import get_device
    from mmengine.registry import RUNNERS

    from sr4ir_mm.datasets.toy_scenes import write_toy_scenes

    print(f'==> writing toy scenes to {cfg.data_root}', flush=True)
    write_toy_scenes(cfg.data_root)

    print(f'==> training on {get_device()}', flush=True)
    runner = RUNNERS.build(cfg)
    runner.train()

    print('==> testing what the task network sees in each picture', flush=True)
    results = {}
    for view in VIEWS:
        getattr(runner.model, 'module', runner.model).view = view
        results[view] = runner.test()
    print_table(results)
    if 'sr/LPIPS' not in results['sr']:
        print(
            'LPIPS needs ImageNet weights: the log above says where to put '
            'them.'
        )
    panels = sorted(
        glob.glob(
            osp.join(runner.log_dir, 'vis_data', 'vis_image', 'test_*.png')
        ),
        key=osp.getmtime,
    )
    print(f'Panels: {osp.abspath(panels[-1])} and {len(panels) - 1} more')


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    cfg = load_config(args)
    with one_sentence(cfg, args.debug):
        run(cfg)


def print_table(results: dict) -> None:
    names = [
        name
        for name, value in results['bilinear'].items()
        if name not in ('data_time', 'time') and value != -1  # COCO's "none"
    ]
    heads = [name.split('/')[-1] for name in names]
    widths = [max(7, len(head)) + 2 for head in heads]
    print(' ' * 14 + ''.join(f'{h:>{w}}' for h, w in zip(heads, widths)))
    for view, result in results.items():
        cells = [result.get(name, float('nan')) for name in names]
        row = ''.join(f'{c:{w}.3f}' for c, w in zip(cells, widths))
        print(f'{VIEWS[view]:14}{row}')
    print()


if __name__ == '__main__':
    main()
