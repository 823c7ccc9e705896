"""A scene of any size, from toy scenes of four bands, and how well a map of it
is predicted. ``DATA`` is what ``python -m sr4ir_mm.datasets.toy_scenes DATA
--bands 4 --bits 16`` writes:

    python .dev_scripts/large_scene.py make DATA FOLDER --side 20000 --scale 2
    sr4ir infer FOLDER/scene.tif CHECKPOINT --out-dir OUT
    python .dev_scripts/large_scene.py score FOLDER OUT
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.windows import Window

from sr4ir_mm.models.degradations import build_degradation
from sr4ir_mm.utils.bands import read_bands

ROWS = 512  # of a window
PIXEL = 10  # metres


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.partition(':')[0])
    commands = parser.add_subparsers(dest='command', required=True)
    make = commands.add_parser('make', help='write scene.tif and labels.tif')
    make.add_argument('data', type=Path)
    make.add_argument('folder', type=Path)
    make.add_argument('--side', type=int, default=20000, help='LR pixels')
    make.add_argument('--scale', type=int, default=4)
    score = commands.add_parser('score', help='compare a map with the labels')
    score.add_argument('folder', type=Path)
    score.add_argument('out', type=Path)
    return parser.parse_args()


def read_toys(data, scale):
    """LR images, (n, h, w, bands), and labels, (n, H, W), of the val part."""
    images, labels = [], []
    for path in sorted((data / 'JPEGImages').glob('val_*.tif')):
        with rasterio.open(path) as file:
            images.append(file.read())
        name = f'{path.stem}.png'
        labels.append(np.array(Image.open(data / 'SegmentationClass' / name)))
    hr = torch.from_numpy(np.stack(images).astype(np.float32))
    bands = read_bands(dict(number=hr.shape[1], range=65535))
    degrade = build_degradation(dict(type='sr4ir_mm.Bicubic'), scale, bands)
    lr = bands.from_unit(degrade(bands.to_unit(hr)))
    lr = lr.round().numpy().astype(np.uint16)
    return lr.transpose(0, 2, 3, 1), np.stack(labels)


def open_new(path, side, count, dtype, pixel):
    return rasterio.open(
        path,
        'w',
        driver='GTiff',
        width=side,
        height=side,
        count=count,
        dtype=dtype,
        crs='EPSG:32633',
        transform=rasterio.Affine(pixel, 0, 5e5, 0, -pixel, 5.4e6),
        tiled=True,
        compress='lzw',
        photometric='MINISBLACK',
        BIGTIFF='YES',
    )


def make(args):
    args.folder.mkdir(parents=True, exist_ok=True)
    lr, labels = read_toys(args.data, args.scale)
    rng = np.random.default_rng(0)
    scale, side, toy = args.scale, args.side, lr.shape[1]
    with open_new(
        args.folder / 'scene.tif', side, lr.shape[3], 'uint16', PIXEL
    ) as scene, open_new(
        args.folder / 'labels.tif', side * scale, 1, 'uint8', PIXEL / scale
    ) as truth:
        for top in range(0, side, ROWS):
            places = rng.integers(0, len(lr), (ROWS // toy, -(-side // toy)))
            height = min(ROWS, side - top)
            for file, toys, factor in ((scene, lr, 1), (truth, labels, scale)):
                rows = [np.concatenate(toys[row], axis=1) for row in places]
                values = np.concatenate(rows)
                values = values[: height * factor, : side * factor]
                values = values.reshape(*values.shape[:2], -1)
                window = Window(
                    0, top * factor, side * factor, height * factor
                )
                file.write(values.transpose(2, 0, 1), window=window)


def score(args):
    pairs = np.zeros(256 * 256, np.int64)
    with rasterio.open(args.folder / 'labels.tif') as truth, rasterio.open(
        args.out / 'pred/scene.tif'
    ) as found:
        for key in ('shape', 'crs', 'transform'):
            assert getattr(truth, key) == getattr(found, key), key
        for top in range(0, truth.height, ROWS):
            height = min(ROWS, truth.height - top)
            window = Window(0, top, truth.width, height)
            one, other = (
                file.read(1, window=window).astype(np.int64)
                for file in (truth, found)
            )
            known = (one * 256 + other)[one != 255]
            pairs += np.bincount(known, minlength=len(pairs))
    pairs = pairs.reshape(256, 256)
    same = np.diag(pairs)
    union = pairs.sum(0) + pairs.sum(1) - same
    iou = same[union > 0] / union[union > 0]
    print(f'{pairs.sum():,} pixels, IoU {iou.round(3)}, mean {iou.mean():.3f}')


def main():
    args = parse_args()
    dict(make=make, score=score)[args.command](args)


if __name__ == '__main__':
    main()
