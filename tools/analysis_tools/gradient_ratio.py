"""How hard each loss of the SR network pulls at the SR image: ``python
tools/analysis_tools/gradient_ratio.py CONFIG [CHECKPOINT]``.

For some training batches, prints the norm of the gradient of each loss with
respect to the SR image, its ratio to the pixel loss's, and the cosine of the
angle between both. A task-driven loss with a ratio far below 1 changes
nothing, one far above 1 leaves nothing of the pixel loss.
"""

import argparse

from sr4ir_mm.cli import add_cfg_options, add_debug


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Gradients of the losses at the SR image'
    )
    parser.add_argument('config')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='of a training (default: the networks as they start)',
    )
    parser.add_argument('--batches', type=int, default=10)
    add_cfg_options(parser, 'override settings of the config')
    add_debug(parser)
    return parser.parse_args()


def report(args: argparse.Namespace) -> None:
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner, load_checkpoint, set_random_seed

    from sr4ir_mm.apis.analysis.gradients import measure_pull
    from sr4ir_mm.registry import MODELS
    from sr4ir_mm.utils.config_files import merge_options, read_config_file

    cfg = read_config_file(args.config)
    merge_options(cfg, args.cfg_options)
    init_default_scope(cfg.default_scope)
    set_random_seed(0)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    pulls = measure_pull(model, loader, args.batches)
    print(f'{"loss":16} {"gradient":>10} {"ratio":>8} {"cosine":>7}')
    for name, pull in pulls.items():
        norm, ratio, cosine = pull
        print(f'{name:16} {norm:10.2e} {ratio:8.3f} {cosine:7.3f}')
    for name, pull in pulls.items():
        if name != 'PixelLoss':
            print(f'{name} {pull.verdict}.')


def main() -> None:
    args = parse_args()

    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        report(args)


if __name__ == '__main__':
    main()
