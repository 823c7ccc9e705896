#!/usr/bin/env bash
# A JPEG 2000 of three bands that rasterio has written is read by OpenCV as
# grey: the first band, three times, without a word; and Pillow calls the same
# file damaged ("broken data stream"). rasterio reads it bit for bit.
#
# GDAL names the colour space of bands that nobody has called red, green and
# blue "grey", in the file's head (box `colr`, 17), whatever their number. With
# the colours said (colorinterp), all three read the same.
# Seen with rasterio 1.4.4 (GDAL 3.10.3), OpenCV 4.12.0 and Pillow 12.3.0,
# 2026-11-29. What one would expect: three bands, or an error, of each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q rasterio==1.4.4 pillow==12.3.0 \
    opencv-python-headless==4.12.0.88 numpy==2.2.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import cv2
import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

rows, columns = np.mgrid[:64, :64]
bands = np.stack([3 * rows, 3 * columns, rows + columns]).astype(np.uint8)


def by_rasterio(path):
    with rasterio.open(path) as file:
        return file.read()


def by_opencv(path):
    return cv2.imread(path)[..., ::-1].transpose(2, 0, 1)


def by_pillow(path):
    return np.asarray(Image.open(path)).transpose(2, 0, 1)


def compare(path):
    found = []
    for read in (by_rasterio, by_opencv, by_pillow):
        try:
            other = read(path).astype(int)
            found.append([int(abs(other[i] - bands[i]).max()) for i in range(3)])
        except OSError as error:
            found.append(str(error))
    return found


def write(path, **colours):
    with rasterio.open(
        path, 'w', driver='JP2OpenJPEG', width=64, height=64, count=3,
        dtype='uint8', quality=100, reversible='yes',
    ) as file:
        for name, value in colours.items():
            setattr(file, name, value)
        file.write(bands)
    return path


plain = compare(write('plain.jp2'))
said = compare(
    write(
        'said.jp2',
        colorinterp=[ColorInterp.red, ColorInterp.green, ColorInterp.blue],
    )
)
print('largest errors of the three bands, by rasterio, OpenCV, Pillow')
print('plain:         ', *plain)
print('colours said:  ', *said)
assert plain[0] == [0, 0, 0] == said[0], (plain, said)
assert plain[1] == [0, 189, 126], plain
assert plain[2] == 'broken data stream when reading image file', plain
assert said[1] == said[2] == [0, 0, 0], said
PYTHON
# Output seen:
# largest errors of the three bands, by rasterio, OpenCV, Pillow
# plain:          [0, 0, 0] [0, 189, 126] broken data stream when reading image file
# colours said:   [0, 0, 0] [0, 0, 0] [0, 0, 0]
