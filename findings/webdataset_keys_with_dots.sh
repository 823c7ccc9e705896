#!/usr/bin/env bash
# WebDataset writes samples whose keys have dots, and reads them back as one.
#
# A sample of a shard is what has one name before the *first* dot, so photographs
# called IMG.2020.01, or crops called 12.5_a, are a single sample, with fields
# such as `2020.01.jpg`. `TarWriter` takes such keys without a word. Nothing is
# said in reading either: of three images of a training none is found under
# `jpg`, and whoever maps over `jpg` if it is there trains without them. A key
# without dots comes back as it was.
# Seen with webdataset 1.0.2, 2026-11-28. What one would expect: that its own
# writer refuses what its reader cannot give back, or that the ending alone
# counts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q webdataset==1.0.2 'numpy<3'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import webdataset

found = {}
for keys in (
    ['IMG_2020_01', 'IMG_2020_02', 'IMG_2020_03'],
    ['IMG.2020.01', 'IMG.2020.02', 'IMG.2020.03'],
):
    with webdataset.TarWriter('shard.tar') as shard:
        for number, key in enumerate(keys):
            image = f'image {number}'.encode()
            shard.write({'__key__': key, 'jpg': image, 'cls': str(number)})
    samples = list(webdataset.WebDataset('shard.tar', shardshuffle=False))
    images = sum('jpg' in sample for sample in samples)
    fields = [name for name in samples[0] if not name.startswith('__')]
    print(
        f'{len(keys)} samples written, {keys[0]} ...: {len(samples)} read, '
        f'{images} with jpg; the first has {", ".join(fields)}'
    )
    found[keys[0]] = len(samples), images
assert found == {'IMG_2020_01': (3, 3), 'IMG.2020.01': (1, 0)}, found
PYTHON
# Output seen:
# 3 samples written, IMG_2020_01 ...: 3 read, 3 with jpg; the first has cls, jpg
# 3 samples written, IMG.2020.01 ...: 1 read, 0 with jpg; the first has 2020.01.cls, 2020.01.jpg, 2020.02.cls, 2020.02.jpg, 2020.03.cls, 2020.03.jpg
