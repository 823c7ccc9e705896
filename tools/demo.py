"""SR4IR on toy scenes: write them, train, test, draw (``tools/demo.sh``)."""

import argparse
import glob
import os.path as osp

from mmengine.device import get_device
from mmengine.runner import Runner

from sr4ir_mm.cli import add_common_args, load_config
from sr4ir_mm.datasets.toy_scenes import write_toy_scenes

VIEWS = dict(bilinear='LR, enlarged', sr='SR', hr='HR (oracle)')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_args(parser)
    return parser.parse_args()


def main() -> None:
    cfg = load_config(parse_args())
    print(f'==> writing toy scenes to {cfg.data_root}', flush=True)
    write_toy_scenes(cfg.data_root)

    print(f'==> training on {get_device()}', flush=True)
    runner = Runner.from_cfg(cfg)
    runner.train()

    print('==> testing what the task network sees in each picture', flush=True)
    results = {}
    for view in VIEWS:
        runner.model.view = view
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


def print_table(results: dict) -> None:
    names = [
        name for name in results['sr'] if name not in ('data_time', 'time')
    ]
    print('\n' + ' ' * 14 + ''.join(f'{n.split("/")[-1]:>9}' for n in names))
    for view, result in results.items():
        row = ''.join(f'{result.get(n, float("nan")):9.3f}' for n in names)
        print(f'{VIEWS[view]:14}{row}')
    print()


if __name__ == '__main__':
    main()
