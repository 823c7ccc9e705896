#!/usr/bin/env bash
# Four bands of 8 bits that rasterio writes are RGB and alpha: where the fourth,
# infrared say, is zero, the other three are gone for whoever reads them with a
# mask, averages them, or makes a mosaic. Of 16 bits they are not.
#
# Water has next to no near infrared. `rasterio.open(path, 'w', count=4,
# dtype='uint8', ...)` writes a GeoTIFF whose photometric tag is RGB and whose
# fourth band is tagged as alpha. The values are in the file: a plain read gives
# them. But `read(1, masked=True)` masks red where infrared is zero, `merge`
# leaves these pixels out, and a reduced read by averages, as for previews, gives
# zeros there. The same code with uint16 writes a grey band and three others, and
# nothing is lost. `photometric='MINISBLACK'` makes both alike.
# Seen with rasterio 1.4.4 (GDAL 3.10.3), 2026-11-28. What one would expect:
# that four bands are four bands, whatever their type.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q rasterio==1.4.4 'numpy<3'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.merge import merge

rng = np.random.default_rng(0)
found = {}
for dtype, photometric in (
    ('uint8', None),
    ('uint16', None),
    ('uint8', 'MINISBLACK'),
):
    bands = rng.integers(50, 200, (4, 64, 64)).astype(dtype)
    bands[3, :16] = 0  # water, in a quarter of the image
    options = {} if photometric is None else dict(photometric=photometric)
    with rasterio.open(
        'scene.tif',
        'w',
        driver='GTiff',
        width=64,
        height=64,
        count=4,
        dtype=dtype,
        crs='EPSG:32633',
        transform=rasterio.Affine(10, 0, 500000, 0, -10, 5000000),
        **options,
    ) as file:
        file.write(bands)
    with rasterio.open('scene.tif') as file:
        assert (file.read() == bands).all()
        kinds = [kind.name for kind in file.colorinterp]
        masked = file.read(1, masked=True).mask.mean()
        small = file.read(
            1, out_shape=(32, 32), resampling=Resampling.average
        )
        mosaic, _ = merge([file], nodata=255)
    lost = (mosaic[0] != bands[0]).mean()
    name = f'{dtype}, {photometric or "default"}'
    print(
        f'{name:19} {", ".join(kinds)}: red of water is masked in '
        f'{masked:.0%} of the image, lost from a mosaic in {lost:.0%}, '
        f'{small[:8].mean():.0f} on average (in truth '
        f'{bands[0, :16].mean():.0f})'
    )
    found[name] = kinds[3], masked, lost, small[:8].mean() > 100
assert found['uint8, default'] == ('alpha', 0.25, 0.25, False), found
assert found['uint16, default'] == ('undefined', 0, 0, True), found
assert found['uint8, MINISBLACK'] == ('undefined', 0, 0, True), found
PYTHON
# Output seen:
# uint8, default      red, green, blue, alpha: red of water is masked in 25% of the image, lost from a mosaic in 25%, 0 on average (in truth 127)
# uint16, default     gray, undefined, undefined, undefined: red of water is masked in 0% of the image, lost from a mosaic in 0%, 126 on average (in truth 126)
# uint8, MINISBLACK   gray, undefined, undefined, undefined: red of water is masked in 0% of the image, lost from a mosaic in 0%, 125 on average (in truth 125)
