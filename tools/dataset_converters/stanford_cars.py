"""Unpack Stanford Cars and check it: ``python
tools/dataset_converters/stanford_cars.py FOLDER``.

``mmpretrain.StanfordCars`` reads the data set as it is distributed, so nothing
is converted. Kaggle's version with one folder per class needs no script: see
``configs/_base_/datasets/cars.py``.
"""

import argparse
import os.path as osp

from archives import check, copy_file, require_file, unpack

SIZES = dict(train=8144, test=8041)
NUM_CLASSES = 196
ARCHIVES = dict(
    cars_train='cars_train.tgz',
    cars_test='cars_test.tgz',
    devkit='car_devkit.tgz',
)
# Distributed beside the archives; mmpretrain expects it in the devkit.
TEST_LABELS = 'cars_test_annos_withlabels.mat'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Unpack Stanford Cars and check it'
    )
    parser.add_argument(
        'source',
        help=f'folder that holds {", ".join(ARCHIVES.values())} and '
        f'{TEST_LABELS}, or what was in them',
    )
    parser.add_argument(
        '--out-dir',
        help='where the archives are unpacked to, such as data/stanford_cars '
        '(default: the same folder)',
    )
    args = parser.parse_args()
    args.out_dir = args.out_dir or args.source
    return args


def prepare(source: str, out_dir: str) -> str:
    """Unpack what is not yet unpacked and check all.

    Args:
        source (str): Folder that holds the archives.
        out_dir (str): Folder to unpack them into.

    Returns:
        str: The ``data_root`` of ``mmpretrain.StanfordCars``.
    """
    from mmpretrain.datasets import StanfordCars

    for name, archive in ARCHIVES.items():
        if not osp.isdir(osp.join(out_dir, name)):
            archive = osp.join(source, archive)
            require_file(
                archive, f'it holds the folder {name}, which is missing too.'
            )
            unpack(archive, name, out_dir)
    devkit = osp.join(out_dir, 'devkit')
    test_labels = osp.join(source, TEST_LABELS)
    if not osp.isfile(osp.join(devkit, TEST_LABELS)):
        require_file(
            test_labels, 'it is downloaded by itself, not in car_devkit.tgz.'
        )
        copy_file(test_labels, osp.join(devkit, TEST_LABELS))
    remedy = f'delete its folder in {out_dir} and unpack the archive again.'
    require_file(osp.join(devkit, 'cars_train_annos.mat'), remedy)
    check(
        {
            split: StanfordCars(data_root=out_dir, split=split)
            for split in SIZES
        },
        SIZES,
        NUM_CLASSES,
        remedy,
    )
    return out_dir


def main() -> None:
    root = prepare(**vars(parse_args()))
    print(f'All is there. data_root = {root!r}')


if __name__ == '__main__':
    main()
