"""Tiny stand-ins for data sets, laid out as these are distributed."""

import shutil

import numpy as np
from PIL import Image
from scipy.io import savemat


def write_image(path, seed=0, size=(40, 30)):
    """Write a random image of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)


def write_raster(path, values, driver='GTiff', mask=None, **options):
    """Write (h, w, bands); returns its path."""
    import rasterio

    height, width, count = values.shape
    with rasterio.open(
        path,
        'w',
        driver=driver,
        height=height,
        width=width,
        count=count,
        dtype=values.dtype,
        **options,
    ) as file:
        file.write(values.transpose(2, 0, 1))
        if mask is not None:
            file.write_mask(mask)
    return str(path)


def write_folders(root, num=3, classes=('a', 'b'), size=(100, 100)):
    """One folder per class."""
    for name in classes:
        for index in range(num):
            write_image(root / name / f'{index}.jpg', index, size)


def write_cub(root, train=4, test=2, num_classes=2, size=(40, 30)):
    """CUB-200-2011; the classes alternate."""
    lists = {'images': [], 'image_class_labels': [], 'train_test_split': []}
    for index in range(train + test):
        label = index % num_classes + 1
        name = f'{label:03d}.Bird/Bird_{index:04d}.jpg'
        write_image(root / 'images' / name, index, size)
        lists['images'].append(name)
        lists['image_class_labels'].append(label)
        lists['train_test_split'].append(int(index < train))
    for name, values in lists.items():
        lines = [f'{i} {value}\n' for i, value in enumerate(values, start=1)]
        (root / f'{name}.txt').write_text(''.join(lines))


def write_cars(root, train=4, test=2, num_classes=2, size=(40, 30)):
    """Stanford Cars; the classes alternate."""
    names = dict(
        train='cars_train_annos.mat', test='cars_test_annos_withlabels.mat'
    )
    (root / 'devkit').mkdir(parents=True)
    for split, num in (('train', train), ('test', test)):
        annotations = np.zeros(
            num, dtype=[('bbox_x1', 'O'), ('class', 'O'), ('fname', 'O')]
        )
        for index in range(num):
            name = f'{index + 1:05d}.jpg'
            write_image(root / f'cars_{split}' / name, index, size)
            label = np.uint8(index % num_classes + 1)
            annotations[index] = (np.uint8(1), label, name)
        savemat(
            str(root / 'devkit' / names[split]), dict(annotations=annotations)
        )


def write_voc(root, toy_root, classes):
    """Toy scenes under other classes' names, every object marked difficult."""
    from sr4ir_mm.datasets.toy_scenes import CLASSES

    shutil.copytree(toy_root / 'JPEGImages', root / 'JPEGImages')
    shutil.copytree(toy_root / 'ImageSets', root / 'ImageSets')
    splits = root / 'ImageSets' / 'Main'
    shutil.copy(splits / 'val.txt', splits / 'test.txt')
    (root / 'Annotations').mkdir()
    for path in (toy_root / 'Annotations').iterdir():
        text = path.read_text().replace(
            '<difficult>0</difficult>', '<difficult>1</difficult>'
        )
        for index, name in enumerate(CLASSES[1:]):
            text = text.replace(name, classes[index % len(classes)])
        (root / 'Annotations' / path.name).write_text(text)
