"""PSNR and SSIM of SR networks on SR benchmarks, as in the paper's table S6:
``python tools/analysis_tools/sr_benchmarks.py CHECKPOINT ...``

Set5, Set14, B100 and Urban100 (those that are in DATA_ROOT) in the protocol of
the SR literature: LR by MATLAB's bicubic, PSNR and SSIM of the Y channel,
without a border of ``scale`` pixels. Beside the networks stands bicubic
enlargement, whose figures everybody knows: on Set5 x4, 28.42 dB.
"""

import argparse
import os.path as osp
import sys
from functools import partial

from sr4ir_mm.cli import add_cfg_options, add_debug

# of the paper's experiments: a checkout has it, a package has not
EVIDENCE = osp.join(
    osp.dirname(osp.abspath(__file__)), '..', '..', '.dev_scripts', 'evidence'
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoints', nargs='*', help='(none: bicubic enlargement alone)'
    )
    parser.add_argument(
        '--config', help='of the checkpoints (default: the one inside of each)'
    )
    parser.add_argument('--data-root', default='data/sr_benchmarks')
    parser.add_argument(
        '--scale',
        type=int,
        default=4,
        help='of bicubic alone; networks have their own (default: 4)',
    )
    parser.add_argument('--device', help='default: the best there is')
    parser.add_argument('--out', help='file for the table, *.csv')
    add_cfg_options(parser, 'for the configs of all checkpoints')
    add_debug(parser)
    return parser.parse_args()


def evaluate(args: argparse.Namespace) -> None:
    import pandas as pd

    from sr4ir_mm.apis import init_model
    from sr4ir_mm.evaluation.sr_benchmarks import (
        evaluate_sr_benchmarks,
        matlab_resize,
    )
    from sr4ir_mm.utils.files import whole_file

    networks = []
    for path in args.checkpoints:
        model = init_model(path, args.config, args.device, args.cfg_options)
        if model.sr_net is None:
            raise ValueError(
                f'{path}: model.sr_net is not set, so there is nothing to '
                'test: leave this checkpoint out.'
            )
        networks.append((path, model))
    rows = {}
    scales = {model.scale for _, model in networks} or {args.scale}
    for scale in sorted(scales):
        rows[f'bicubic, x{scale}'] = evaluate_sr_benchmarks(
            partial(matlab_resize, factor=scale), args.data_root, scale
        )
    for path, model in networks:
        device = next(model.parameters()).device
        rows[f'{path}, x{model.scale}'] = evaluate_sr_benchmarks(
            lambda lr, net=model.sr_net, to=device: net(lr.to(to)),
            args.data_root,
            model.scale,
        )
    names = list(next(iter(rows.values())))
    if 4 in scales and osp.isdir(EVIDENCE):
        sys.path.insert(0, EVIDENCE)
        from paper_tables import TABLES

        paper = TABLES['s6']
        for row, figures in paper['paper']['voc-seg', 'x4'].items():
            rows[f'{row}, paper, x4'] = dict(zip(paper['metrics'], figures))
    table = pd.DataFrame.from_dict(rows, orient='index')[names]
    if args.out:
        with whole_file(args.out) as part:
            table.to_csv(part)
    digits = {k: 3 if k.endswith('SSIM') else 2 for k in names}
    print(table.round(digits).to_string())


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        evaluate(args)


if __name__ == '__main__':
    main()
