"""Parameters, FLOPs, memory and speed of a model, as in the paper's table S3.

Counted is what predicting from the model's ``view`` takes: the SR network for
``sr``, and the task network. FLOPs are twice the multiply-adds, as in the
paper, of convolutions, matrix products, BatchNorm, pooling and bilinear
resizing; activations, element-wise sums and the degradation are left out. The
time contains all of it, from the 8-bit HR image to the prediction.
"""

import argparse

from sr4ir_mm.cli import add_cfg_options, add_debug


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        default=(480, 480),
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the HR image (default: 480 480)',
    )
    parser.add_argument('--device', help='default: the best there is')
    parser.add_argument(
        '--num-images', type=int, default=50, help='how many to time'
    )
    add_cfg_options(
        parser,
        'override settings of the config, e.g. model.view=bilinear '
        'model.sr_net=None',
    )
    add_debug(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace) -> None:
    from mmengine.device import get_device

    from sr4ir_mm.apis.analysis.efficiency import (
        build_model,
        count,
        time_inference,
    )
    from sr4ir_mm.utils.config_files import merge_options, read_config_file

    device = args.device or get_device()
    cfg = read_config_file(args.config)
    merge_options(cfg, args.cfg_options)
    model, shape = build_model(cfg), tuple(args.shape)
    result = count(model, shape)
    result.update(time_inference(model.to(device), shape, args.num_images))
    height, width = shape
    memory = 'n/a (CUDA only)'
    if 'memory_allocated' in result:
        memory = (
            f'{result["memory_allocated"]:.0f} MB in tensors, '
            f'{result["memory_reserved"]:.0f} MB held'
        )
    print(
        f'view        {model.view}, {height}x{width} on {device}\n'
        f'parameters  {result["mparams"]:.1f} M\n'
        f'compute     {result["gflops"]:.1f} GFLOPs'
        f' + {result["gflops_auxiliary"]:.1f} in auxiliary heads\n'
        f'memory      {memory}\n'
        f'throughput  {result["images_per_second"]:.1f} images/s'
    )


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        measure(args)


if __name__ == '__main__':
    main()
