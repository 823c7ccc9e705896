"""From a checkpoint to a file that runs without this package: ``python
tools/deployment/export.py CHECKPOINT FILE.onnx``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence

from sr4ir_mm.cli import add_checkpoint, add_debug, parse_with_checkpoint

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from sr4ir_mm.apis.deployment import DeployableSRNet
    from sr4ir_mm.apis.torch_inferencer import TorchInferencer


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


def load_example(
    inferencer: TorchInferencer, image: Optional[str], size: Optional[list]
) -> Tensor:
    """What to compare on, of this size: an image, or a photograph; colours
    are in the places of other bands."""
    import torch
    from skimage.data import astronaut

    if image is not None:
        if not Path(image).is_file():
            raise FileNotFoundError(f'There is no image {image!r}.')
        return load_image(inferencer, image, '--image', size)
    bands = inferencer.model.bands
    pixels = resize(astronaut(), size or (64, 64))
    images = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    if bands.are_pictures:
        return images
    colors = [band % 3 for band in range(bands.number)]
    return bands.from_unit(images[:, colors] / 255)


def load_image(
    inferencer: TorchInferencer,
    image: str,
    option: str,
    size: Optional[list] = None,
) -> Tensor:
    """See :meth:`DeployableSRNet.forward`; (1, C, h, w)"""
    import torch

    try:
        pixels = inferencer.load(image)
    except ValueError as error:
        raise ValueError(f'{option} {image}: {error}.') from error
    pixels = resize(pixels, size or pixels.shape[:2])
    return torch.from_numpy(inferencer.as_exported(pixels))[None]


def resize(pixels: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(h, w, C)"""
    import mmcv
    import numpy as np

    height, width = size
    if min(size) < MIN_SIZE:
        raise ValueError(
            f'LR images of {height} x {width} pixels: expected at least '
            f'{MIN_SIZE} x {MIN_SIZE} (--size).'
        )
    if pixels.dtype != np.uint8:  # OpenCV knows few other integers
        pixels = pixels.astype(np.float32)
    resized = mmcv.imresize(pixels, (width, height), interpolation='area')
    return resized.reshape(height, width, pixels.shape[2])


def make_examples(deployable: DeployableSRNet, images: Tensor) -> List[Tensor]:
    """What to compare on: the image, and what differs from it most."""
    import torch

    if not deployable.any_size:
        return [images, torch.zeros_like(images)]  # nothing to be found
    # what is built in may be the size in windows
    height, width = (side // 2 for side in images.shape[2:])
    other = torch.cat([images, images.flip(3)])[..., : height - 1, : width - 2]
    return [images, other, images[..., ::2, ::3]]


def export(deployable: DeployableSRNet, out: str, image: Tensor) -> bool:
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


def choose_images(inputs: str, rasters: bool) -> List[str]:
    """Some of a folder's, which may be rasters."""
    from sr4ir_mm.apis.sources import find_inputs

    names = list(find_inputs(inputs, rasters=rasters))
    return names[:: -(-len(names) // CALIBRATION)]


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
    if args.int8:  # what is not there is known before a model is loaded
        choose_images(args.int8, rasters=True)
    from sr4ir_mm.apis.deployment import make_deployable, save_weights
    from sr4ir_mm.apis.torch_inferencer import TorchInferencer
    from sr4ir_mm.utils.files import whole_file

    inferencer = TorchInferencer(args.checkpoint, args.config, device='cpu')
    model = inferencer.model
    if args.out.endswith('.safetensors'):
        save_weights(model, args.out, args.network)
        return
    image = load_example(inferencer, args.image, args.size)
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
        if args.int8:
            names = choose_images(args.int8, inferencer.takes_rasters)
            size = None if deployable.any_size else image.shape[2:]
            images = [
                load_image(inferencer, name, '--int8', size) for name in names
            ]
            quantize(deployable, part, images)
    takes = 'images of any size'
    if not deployable.any_size:
        takes = 'one image of {} x {} alone (another: --size)'
        takes = takes.format(*image.shape[2:])
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
