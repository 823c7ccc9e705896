"""What weights for RGB are worth for other bands: CamVid at half its size, as
TIFF of four bands and 16 bits, T on HR images alone.

``python .dev_scripts/evidence/rgb_weights.py WORK_DIR [SEED ...]``, with
data/camvid and checkpoints/lite0.pth as :mod:`evidence.sh` needs them. What is
finished is skipped.
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import rasterio
from derive_config import locate
from paper_tables import H2T
from rich.progress import track

SOURCE = Path('data/camvid')
SIZE = 240, 180
VARIANTS = dict(
    named=[],
    unnamed=['model.bands.rgb=(0,1,2)'],
    random=['model.task_model.backbone.init_cfg=None'],
)
CONFIG = """
_base_ = {base!r}
load = dict(type='sr4ir_mm.LoadRasterFromFile')
labels = dict(type='LoadAnnotations')
pack = dict(type='PackSegInputs')
crop = dict(type='RandomCrop', crop_size=(128, 128))
flip = dict(type='RandomFlip', prob=0.5)
data = dict(data_root={data!r}, img_suffix='.tif')
train = dict(dataset=dict(pipeline=[load, labels, crop, flip, pack], **data))
test = dict(dataset=dict(pipeline=[load, labels, pack], **data))
train_dataloader, val_dataloader, test_dataloader = train, test, test
preprocessor = dict(mean=None, std=None, bgr_to_rgb=False)
model = dict(
    bands=dict(number=4, rgb=(3, 2, 1), range=4080),
    task_model=dict(data_preprocessor=preprocessor),
)
custom_hooks = None
train_cfg = dict(val_begin=10**5)
"""


def write_data(out: Path) -> None:
    """Grey in the place of infrared, blue, green and red, 16 times as large;
    and masks."""
    for path in sorted(SOURCE.glob('images/*/*.jpg')):
        bgr = cv2.resize(cv2.imread(str(path)), SIZE, 0, 0, 0, cv2.INTER_AREA)
        bgr = bgr.astype(np.float32)
        grey = bgr @ np.float32([0.11, 0.59, 0.3])
        bands = np.rint(16 * np.dstack([grey, bgr])).astype(np.uint16)
        name = out / path.relative_to(SOURCE).with_suffix('.tif')
        name.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            name,
            'w',
            driver='GTiff',
            width=SIZE[0],
            height=SIZE[1],
            count=4,
            dtype='uint16',
        ) as file:
            file.write(bands.transpose(2, 0, 1))
    for path in sorted(SOURCE.glob('masks/*/*.png')):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask = cv2.resize(mask, SIZE, interpolation=cv2.INTER_NEAREST)
        name = out / path.relative_to(SOURCE)
        name.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(name), mask)


def run(*words) -> str:
    command = [sys.executable, '-W', 'ignore', '-m', 'sr4ir_mm', *words]
    return subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def main() -> None:
    work, seeds = Path(sys.argv[1]).resolve(), sys.argv[2:] or ['0', '1']
    if not (work / 'data/masks').is_dir():
        write_data(work / 'data')
    config = work / 'h2t_camvid-bands.py'
    pattern = 'configs/sr4ir_deeplabv3-lite0_camvid-half_{}.py'
    base = locate(H2T, pattern, 'x8', str(work))
    config.write_text(CONFIG.format(base=base, data=str(work / 'data')))
    jobs = [(seed, name) for seed in seeds for name in VARIANTS]
    for seed, name in track(jobs, 'runs'):
        folder = work / f'{name}_{seed}'
        options = ['--cfg-options', f'randomness.seed={seed}']
        options += VARIANTS[name]
        result = folder / 'result.txt'
        if not result.is_file():
            run('train', config, '--work-dir', folder, *options)
            checkpoint = (folder / 'last_checkpoint').read_text()
            output = run('test', config, checkpoint, *options)
            result.write_text(output)
        print(name, seed, result.read_text().strip().splitlines()[-1])


if __name__ == '__main__':
    main()
