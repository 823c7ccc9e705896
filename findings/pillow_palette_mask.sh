#!/usr/bin/env bash
# Pillow writes a mask with a short palette at fewer bits than its ids need.
#
# A mask of ids 0 to 4 and 255 (ignored), with a palette of its five classes,
# is valid: mode P, uint8. Saved as PNG, it has 4 bits a pixel, since the
# palette has 5 colours: 255 comes back as 15, without a warning. As TIFF or
# with a palette of 256 colours it comes back as it was.
# Seen with Pillow 12.0.0 and 10.4.0, 2026-11-28. What one would expect: bits
# for the largest id, or an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 10.4.0 12.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q "pillow==$version" 'numpy<3'
    "$folder/$version/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import PIL
from PIL import Image

ids = np.tile(np.array([0, 1, 2, 3, 4, 255], np.uint8), (6, 1))
five = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]


def written(colours, suffix):
    mask = Image.fromarray(ids).convert('L')
    mask = mask.copy()
    mask.putpalette(colours)  # turns L into P, ids unchanged
    assert mask.mode == 'P' and np.array_equal(np.array(mask), ids)
    path = f'{sys.argv[1]}/mask{suffix}'
    mask.save(path)
    return np.unique(np.array(Image.open(path))).tolist()


short = written(five, '.png')
whole = written(five + [0] * (768 - len(five)), '.png')
tiff = written(five, '.tif')
print(f'Pillow {PIL.__version__}: ids [0, 1, 2, 3, 4, 255] read back: '
      f'PNG, 5 colours: {short}; PNG, 256 colours: {whole}; TIFF: {tiff}')
assert short == [0, 1, 2, 3, 4, 15], short
assert whole == [0, 1, 2, 3, 4, 255], whole
assert tiff == [0, 1, 2, 3, 4, 255], tiff
PYTHON
done
