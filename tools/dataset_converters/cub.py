"""Unpack CUB-200-2011 and check it: ``python tools/dataset_converters/cub.py
CUB_200_2011.tgz``.

``mmpretrain.CUB`` reads the data set as it is distributed, so nothing is
converted.
"""

import argparse
import os.path as osp

from archives import check, require_file, unpack

NAME = 'CUB_200_2011'
SIZES = dict(train=5994, test=5794)
NUM_CLASSES = 200
LISTS = ('images.txt', 'image_class_labels.txt', 'train_test_split.txt')
WANTED = f'give the path of {NAME}.tgz, or of the folder that was in it.'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Unpack CUB-200-2011 and check it'
    )
    parser.add_argument(
        'source', help=f'{NAME}.tgz, or the folder {NAME} that was in it'
    )
    parser.add_argument(
        '--out-dir',
        default='data',
        help=f'where {NAME} is unpacked to (default: data)',
    )
    return parser.parse_args()


def prepare(source: str, out_dir: str) -> str:
    """Unpack what is not yet unpacked and check all.

    Args:
        source (str): The archive, or the folder that was in it.
        out_dir (str): Folder to unpack an archive into.

    Returns:
        str: The ``data_root`` of ``mmpretrain.CUB``.
    """
    from mmpretrain.datasets import CUB

    root = source
    if not osp.isdir(source):
        root = osp.join(out_dir, NAME)
        if not osp.isdir(root):
            require_file(source, WANTED)
            unpack(source, NAME, out_dir)
    again = f'{WANTED} If {root} was unpacked here, delete it first.'
    for name in LISTS:
        require_file(osp.join(root, name), again)
    check(
        {split: CUB(data_root=root, split=split) for split in SIZES},
        SIZES,
        NUM_CLASSES,
        f'delete the folder {NAME} and unpack {NAME}.tgz again.',
    )
    return root


def main() -> None:
    root = prepare(**vars(parse_args()))
    print(f'All is there. data_root = {root!r}')


if __name__ == '__main__':
    main()
