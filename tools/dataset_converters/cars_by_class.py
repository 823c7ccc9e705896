"""Stanford Cars' training part, from the public repository
fmejbah/car_dataset1, as one folder per class::

    git clone https://github.com/fmejbah/car_dataset1
    python tools/dataset_converters/cars_by_class.py car_dataset1 \\
        data/cars28 --every 7 --short-side 108

That copy has labels for the training part only, and its images have red and
blue swapped. This script swaps them back and splits each class by a fixed
seed, 60 / 15 / 25 for training, validation and test. A subset of the classes,
in small, is for machines without a GPU.
"""

import argparse
import os.path as osp
import random
from typing import Dict, List

NUM_IMAGES = 8144
NUM_CLASSES = 196
LABELS = 'train_perfect_preds.txt'
NAMES = 'cars_meta.mat'
IMAGES = 'cars_train'
SPLITS = dict(train=0.6, val=0.15, test=0.25)
SEED = 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Stanford Cars as one folder per class'
    )
    parser.add_argument(
        'source', help=f'folder that holds {IMAGES}, {LABELS} and {NAMES}'
    )
    parser.add_argument('out_dir', help='where train, val and test go')
    parser.add_argument(
        '--every', type=int, default=1, help='take every n-th class'
    )
    parser.add_argument(
        '--short-side', type=int, help='make images that small'
    )
    return parser.parse_args()


def read_labels(source: str) -> List[int]:
    """The class of each image, from 0 on.

    Raises:
        ValueError: If it is not the distributed file.
    """
    path = osp.join(source, LABELS)
    with open(path) as file:
        labels = [int(line) - 1 for line in file]
    if len(labels) != NUM_IMAGES or set(labels) != set(range(NUM_CLASSES)):
        raise ValueError(
            f'{path} has {len(labels)} images in {len(set(labels))} classes '
            f'instead of {NUM_IMAGES} in {NUM_CLASSES}: clone the repository '
            'again.'
        )
    return labels


def read_names(source: str) -> List[str]:
    """Names of the classes that can be those of folders."""
    from scipy.io import loadmat

    names = loadmat(osp.join(source, NAMES))['class_names'][0]
    return [str(name[0]).replace('/', '-') for name in names]


def split(files: List[str]) -> Dict[str, List[str]]:
    """The files of one class, by split, always the same."""
    files = random.Random(SEED).sample(files, len(files))
    first = round(SPLITS['train'] * len(files))
    second = first + round(SPLITS['val'] * len(files))
    return dict(
        train=files[:first], val=files[first:second], test=files[second:]
    )


def convert(source: str, target: str, short_side: int) -> None:
    """Write an image with red and blue in their places, and as large as
    wanted.

    Raises:
        ValueError: If it has no three channels.
    """
    from PIL import Image

    with Image.open(source) as image:
        if image.mode not in ('RGB', 'L'):
            raise ValueError(f'{source}: {image.mode} instead of RGB.')
        blue, green, red = image.convert('RGB').split()
    image = Image.merge('RGB', (red, green, blue))
    if short_side:
        factor = short_side / min(image.size)
        size = [max(short_side, round(factor * s)) for s in image.size]
        image = image.resize(size, Image.BICUBIC)
    image.save(target, quality=95)


def main() -> None:
    args = parse_args()
    import mmengine
    from tqdm import tqdm

    names = read_names(args.source)
    files = {}
    for i, label in enumerate(read_labels(args.source), 1):
        files.setdefault(label, []).append(f'{i:05d}.jpg')
    counts = dict.fromkeys(SPLITS, 0)
    chosen = range(0, NUM_CLASSES, args.every)
    for label in tqdm(chosen, desc='Classes'):
        for part, members in split(files[label]).items():
            folder = osp.join(args.out_dir, part, names[label])
            mmengine.mkdir_or_exist(folder)
            counts[part] += len(members)
            for name in members:
                convert(
                    osp.join(args.source, IMAGES, name),
                    osp.join(folder, name),
                    args.short_side,
                )
    print(f'{len(chosen)} classes, images: {counts}')


if __name__ == '__main__':
    main()
