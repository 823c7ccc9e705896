"""From a checkpoint to a file that runs without this package: ``python
tools/deployment/export.py CHECKPOINT FILE.onnx``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, List

from sr4ir_mm.cli import add_checkpoint, add_debug, parse_with_checkpoint

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from sr4ir_mm.apis.deployment import DeployableSRNet
    from sr4ir_mm.utils.bands import Bands


TOLERANCE = 1e-4  # of boxes, as a share of the image's longer side
MIN_SIZE = 8  # what is compared is cut by some pixels
CALIBRATION, COMPARED = 64, 8  # images of --int8, at most


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Export a model to ONNX, and compare it with PyTorch; or '
        'its weights to safetensors.'
    )
    add_checkpoint(parser)
    parser.add_argument('out', help='FILE.onnx or FILE.safetensors')
    parser.add_argument(
        '--config', help='config file (default: the one inside the checkpoint)'
    )
    parser.add_argument(
        '--network',
        choices=['both', 'sr_net'],
        default='both',
        help='the SR network with the task network, or alone',
    )
    parser.add_argument(
        '--scores',
        action='store_true',
        help='of a segmentor, the probability of each class in place of the '
        'label of each pixel; sr4ir infer takes labels',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='of LR images. What is exported keeps to it in detection; '
        "elsewhere it is the example's (default: that of --image, or 64 64)",
    )
    parser.add_argument(
        '--image',
        help='LR image to compare on, in which a detector must find something',
    )
    parser.add_argument(
        '--int8',
        metavar='IMAGES',
        help='have the SR network compute in 8 bits, with the ranges of '
        'values that these LR images have: a folder, or a pattern',
    )
    add_debug(parser)
    args = parse_with_checkpoint(parser)
    if Path(args.out).suffix not in ('.onnx', '.safetensors'):
        parser.error(
            f'{args.out!r} is neither FILE.onnx nor FILE.safetensors.'
        )
    if args.int8 and not args.out.endswith('.onnx'):
        parser.error('--int8 is for FILE.onnx.')
    return args


def read_rgb(image: str, option: str) -> np.ndarray:
    """RGB, uint8, (h, w, 3)"""
    from sr4ir_mm.apis.sources import read_image

    try:
        return read_image(image)[..., ::-1]
    except ValueError as error:
        raise ValueError(f'{option} {image}: {error}.') from error


def load_image(args: argparse.Namespace) -> np.ndarray:
    """RGB, uint8, (h, w, 3)"""
    import mmcv
    from skimage.data import astronaut

    if args.image is None:
        image = astronaut()
        height, width = args.size or (64, 64)
    else:
        if not Path(args.image).is_file():
            raise FileNotFoundError(f'There is no image {args.image!r}.')
        image = read_rgb(args.image, '--image')
        height, width = args.size or image.shape[:2]
    if min(height, width) < MIN_SIZE:
        raise ValueError(
            f'LR images of {height} x {width} pixels: expected at least '
            f'{MIN_SIZE} x {MIN_SIZE} (--size).'
        )
    return mmcv.imresize(image, (width, height), interpolation='area')


def to_tensor(image: np.ndarray, bands: Bands) -> Tensor:
    """RGB, uint8, (1, 3, h, w); of other bands, colours in their places, of
    the file's values."""
    import torch

    images = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    if bands.are_pictures:
        return images
    colors = [band % 3 for band in range(bands.number)]
    return bands.from_unit(images[:, colors] / 255)


def make_examples(
    deployable: DeployableSRNet, image: np.ndarray
) -> List[Tensor]:
    """What to compare on: the image, and what differs from it most."""
    import torch

    images = to_tensor(image, deployable.model.bands)
    if not deployable.any_size:
        return [images, torch.zeros_like(images)]  # nothing to be found
    # what is built in may be the size in windows
    height, width = (side // 2 for side in images.shape[2:])
    other = torch.cat([images, images.flip(3)])[..., : height - 1, : width - 2]
    return [images, other, images[..., ::2, ::3]]


def export(deployable: DeployableSRNet, out: str, image: np.ndarray) -> bool:
    """Export and compare.

    Returns:
        bool: Whether the outputs are the same.
    """
    from sr4ir_mm.apis.deployment import export_onnx

    examples = make_examples(deployable, image)
    try:
        export_onnx(deployable, out, examples[0])
        return all([_same(deployable, out, images) for images in examples])
    except NotImplementedError as error:
        if not deployable.any_size:
            raise
        print(error)
        return False


def _same(deployable: DeployableSRNet, out: str, images: Tensor) -> bool:
    """Whether a file gives the same outputs for some images; prints how much
    they differ."""
    from sr4ir_mm.apis.deployment import check_onnx

    differences = check_onnx(deployable, out, images)
    listed = ', '.join(f'{k} {v:.1g}' for k, v in differences.items())
    print(f'difference to PyTorch, {tuple(images.shape)}: {listed}')
    side = max(images.shape[2:])
    return all(
        value < TOLERANCE * (side if name == 'boxes' else 1)
        for name, value in differences.items()
    )


def load_lr_images(inputs: str) -> List[np.ndarray]:
    """Some of a folder's: RGB, uint8, (h, w, 3)."""
    from sr4ir_mm.apis.sources import find_inputs

    names = list(find_inputs(inputs))
    step = -(-len(names) // CALIBRATION)
    return [read_rgb(name, '--int8') for name in names[::step]]


def quantize(
    deployable: DeployableSRNet, out: str, images: List[Tensor]
) -> None:
    """Bring the SR network of a file to int8, and print what that changes."""
    from sr4ir_mm.apis.deployment import check_onnx
    from sr4ir_mm.apis.quantization import quantize_sr_net

    quantize_sr_net(out, [one.numpy() for one in images])
    found = [check_onnx(deployable, out, one) for one in images[:COMPARED]]
    # boxes change places, or are more or fewer
    outputs = deployable.outputs[: 1 if 'boxes' in found[0] else None]
    listed = ', '.join(
        f'{name} {sum(one[name] for one in found) / len(found):.1g}'
        for name in outputs
    )
    print(
        f'int8, from {len(images)} image(s); difference to PyTorch, mean of '
        f'{len(found)}: {listed}'
    )


def run(args: argparse.Namespace) -> None:
    # what is not there is known before a model is loaded
    lr_images = load_lr_images(args.int8) if args.int8 else []
    import mmcv

    from sr4ir_mm.apis import init_model
    from sr4ir_mm.apis.deployment import make_deployable, save_weights
    from sr4ir_mm.utils.files import whole_file

    model = init_model(args.checkpoint, args.config, device='cpu')
    if args.out.endswith('.safetensors'):
        save_weights(model, args.out, args.network)
        return
    bands = model.bands
    if not bands.are_pictures and (args.image or args.int8):
        raise ValueError(
            '--image and --int8 read RGB of 8 bits, and model.bands are '
            'others: leave them out.'
        )
    image = load_image(args)
    deployable = make_deployable(model, args.network, args.scores)
    with whole_file(args.out) as part:
        same = export(deployable, part, image)
        if not same and deployable.any_size:
            print('It has the size of its input built in: once more with it.')
            deployable.any_size = False
            same = export(deployable, part, image)
        if not same:
            raise ValueError(
                f'{args.out} is not written: it would differ from PyTorch by '
                f'more than {TOLERANCE} (boxes: of the longer side).'
            )
        if lr_images:
            if not deployable.any_size:
                size = image.shape[1::-1]
                lr_images = [mmcv.imresize(one, size) for one in lr_images]
            tensors = [to_tensor(one, bands) for one in lr_images]
            quantize(deployable, part, tensors)
    takes = 'images of any size'
    if not deployable.any_size:
        takes = 'one image of {} x {} alone (another: --size)'
        takes = takes.format(*image.shape)
    print(
        f'{args.out} takes {takes} and gives {", ".join(deployable.outputs)}'
    )


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        run(args)


if __name__ == '__main__':
    main()
