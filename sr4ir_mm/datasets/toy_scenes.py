"""A toy data set on which super-resolution matters, written in seconds.

Objects of every class share their shapes, colours and sizes; only the fine
texture tells one class from another. Bicubic x4 downsampling folds that
texture into a false, coarser one, so that a network which reads the small
image loses the class, while a super-resolution network can bring it back.

The folder has the layout of PASCAL VOC (segmentation and detection), with
single-object images for classification beside it:

.. code-block:: none

    ROOT
    ├── JPEGImages            {train,val}_0000.jpg
    ├── SegmentationClass     {train,val}_0000.png
    ├── Annotations           {train,val}_0000.xml
    ├── ImageSets
    │   ├── Segmentation      train.txt, val.txt
    │   └── Main              train.txt, val.txt
    ├── Classification
    │   └── {train,val}       CLASS/0000.jpg
    └── toy_scenes.json       the arguments that it was written with

From the command line:

.. code-block:: bash

    python -m sr4ir_mm.datasets.toy_scenes data/toy_scenes

With ``--bands 4 --bits 16`` images are TIFF files of red, green, blue and near
infrared, as satellites see, and infrared is needed: the checkered objects are
drawn as the diagonal ones, and only there they are brighter. One band is grey;
beyond four, bands are blends of these.
"""

import argparse
import colorsys
import json
import shutil
from pathlib import Path
from typing import List, Optional, Tuple, Union
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from tifffile import imwrite

CLASSES = ('background', 'horizontal', 'vertical', 'diagonal', 'checker')
PALETTE = [
    [0, 0, 0],
    [230, 85, 70],
    [50, 130, 230],
    [245, 190, 40],
    [60, 180, 100],
]
Size = Tuple[int, int]  # height, width
Box = Tuple[int, int, int, int]
Objects = List[Tuple[str, Box]]

VOID = 255  # the thin border round each object, ignored as in VOC
VOID_COLOR = [224, 224, 192]

# in near infrared, of 0 to 1
INFRARED = dict(checker=(0.65, 0.85), diagonal=(0.25, 0.45))

VERSION = 1  # raise it with every change of the drawings: old ones are redone
# Each axis of a texture has a period under 8 HR pixels, the shortest that x4
# downsampling keeps: a longer, false one (13 to 20 pixels) shows in LR. A
# period near 4 would leave no trace for a super-resolution network to read.
PERIOD = (5.0, 6.0)
TILT = np.deg2rad(8)  # either way; the false textures are turned by far more
CONTRAST = (0.1, 0.2)
NOISE = 0.02
RADIUS = (13.0, 28.0)  # of the circle round an object
MARGIN = 3  # between an object and the image's edge: room for its void
MIN_SIZE = 64  # the largest object with its margin on both sides
CROP_SIZE = (64, 64)
CROPS_PER_SCENE = 2
MAX_HIDDEN = 0.1  # share of an object in view that each later one may cover
CORNERS = (None, 3, 4, 5, 6)  # None: a disc or an ellipse

FOLDERS = (
    'JPEGImages',
    'SegmentationClass',
    'Annotations',
    'ImageSets',
    'Classification',
)


def write_toy_scenes(
    root: Union[str, Path],
    num_train: int = 160,
    num_val: int = 40,
    size: Size = (128, 128),
    seed: int = 0,
    bands: int = 3,
    bits: int = 8,
) -> None:
    """Write the toy data set, unless the same one is already there.

    A toy data set that other arguments made is replaced. Image ``k`` of a
    split depends on ``size`` and ``seed`` only, never on how many there are.

    Args:
        root (str | Path): Folder to write to: a new one, an empty one, or one
            that this function wrote.
        num_train (int): Number of training scenes. There are twice as many
            single-object images for classification. Defaults to 160.
        num_val (int): Number of validation scenes. Defaults to 40.
        size (tuple[int, int]): Height and width of the scenes, 64 at least.
            Defaults to (128, 128).
        seed (int): Another seed gives other images. Defaults to 0.
        bands (int): How many images have; of other than three they are TIFF
            files. Defaults to 3: RGB.
        bits (int): 8 or 16, which are TIFF files. Defaults to 8.

    Raises:
        ValueError: If a number is negative, or the size below 64, or ``bits``
            something else.
        NotADirectoryError: If ``root`` is a file.
        FileExistsError: If it holds files of others.
    """
    root = Path(root)
    args = _check_args(num_train, num_val, size, seed, bands, bits)
    if not _prepare(root, args):
        return
    for split, num in enumerate((num_train, num_val)):
        name = ('train', 'val')[split]
        stems = [f'{name}_{index:04d}' for index in range(num)]
        for index, stem in enumerate(stems):
            rng = np.random.default_rng([seed, split, 0, index])
            first = index % (len(CLASSES) - 1)
            scene = draw_scene(rng, args['size'], first, None, bands, bits)
            _write_scene(root, stem, *scene)
        for task in ('Segmentation', 'Main'):
            text = ''.join(f'{stem}\n' for stem in stems)
            (root / 'ImageSets' / task / f'{name}.txt').write_text(text)
        for index in range(num * CROPS_PER_SCENE):
            rng = np.random.default_rng([seed, split, 1, index])
            _write_crop(
                root / 'Classification' / name, index, rng, bands, bits
            )
    _stamp(root, args, complete=True)


def _check_args(
    num_train: int, num_val: int, size: Size, seed: int, bands: int, bits: int
) -> dict:
    """Check the arguments and return them as json would."""
    for key, value in dict(
        num_train=num_train, num_val=num_val, seed=seed
    ).items():
        if value < 0:
            raise ValueError(f'{key} must not be negative, but got {value}')
    if len(size) != 2 or min(size) < MIN_SIZE:
        raise ValueError(
            f'size must be (height, width), each at least {MIN_SIZE} to hold '
            f'the largest object, but got {tuple(size)}'
        )
    if bands < 1 or bits not in (8, 16):
        raise ValueError(
            f'bands must be 1 or more, and bits 8 or 16, but got {bands} and '
            f'{bits}'
        )
    args = dict(
        num_train=int(num_train),
        num_val=int(num_val),
        size=[int(side) for side in size],
        seed=int(seed),
        version=VERSION,
    )
    if (bands, bits) != (3, 8):
        args.update(bands=bands, bits=bits)
    return args


def _prepare(root: Path, args: dict) -> bool:
    """Make the empty folders; return False if all is already written."""
    stamp = root / 'toy_scenes.json'
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(
            f'root must be a folder, but {root} is a file'
        )
    if stamp.exists():
        if json.loads(stamp.read_text()) == dict(args, complete=True):
            return False
        for folder in FOLDERS:
            shutil.rmtree(root / folder, ignore_errors=True)
    elif root.exists() and any(root.iterdir()):
        # it may be the real PASCAL VOC: never mix the two
        raise FileExistsError(
            f'root {root} holds files that write_toy_scenes did not write; '
            'name an empty or a new folder'
        )
    root.mkdir(parents=True, exist_ok=True)
    # from here on the folder is ours, even if the writing is interrupted
    _stamp(root, args, complete=False)
    for folder in FOLDERS[:3] + ('ImageSets/Segmentation', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True)
    for split in ('train', 'val'):
        for name in CLASSES[1:]:
            (root / 'Classification' / split / name).mkdir(parents=True)
    return True


def _stamp(root: Path, args: dict, complete: bool) -> None:
    text = json.dumps(dict(args, complete=complete), indent=2)
    part = root / 'toy_scenes.json.part'
    part.write_text(text + '\n')
    part.replace(root / 'toy_scenes.json')


def draw_scene(
    rng: np.random.Generator,
    size: Size,
    first: int,
    num_objects: Optional[int] = None,
    bands: int = 3,
    bits: int = 8,
) -> Tuple[np.ndarray, np.ndarray, Objects]:
    """Draw one scene.

    Args:
        rng (np.random.Generator): All that is random comes from it.
        size (tuple[int, int]): Height and width.
        first (int): Class of the first object, counted without background.
            The others are of other classes: so the classes are balanced.
        num_objects (int, optional): How many objects. Defaults to None: 2 to
            4, less those that find no free place.
        bands (int): How many the image has. Defaults to 3: RGB.
        bits (int): Of its values: 8 or 16. Defaults to 8.

    Returns:
        tuple[np.ndarray, np.ndarray, list]: The image, uint8 or uint16, of
        shape (H, W, bands); the class indices, uint8 of shape (H, W), with 255
        for void; the objects in view, each as (class name, (xmin, ymin, xmax,
        ymax)) with 0-based inclusive corners.
    """
    num_textures = len(CLASSES) - 1
    others = rng.permutation([k for k in range(num_textures) if k != first])
    labels = [first, *others][: num_objects or rng.integers(2, 5)]
    image = _background(rng, size)
    if bands > 3:
        image = np.dstack([image, np.full(size, 0.45)])
    owner = np.zeros(size, int)  # 0, VOID, or which object (from 1) is seen
    for number, label in enumerate(labels, start=1):
        distance = _place(rng, owner)
        if distance is None:
            labels = labels[: number - 1]
            break
        alpha = np.clip(0.5 - distance, 0, 1)[..., None]
        image += alpha * (_paint(rng, size, label, bands) - image)
        owner[distance < 1.5] = VOID
        owner[distance <= 0] = number
    image = _blend(image, bands)
    image += rng.normal(0, NOISE, image.shape)
    most = 2**bits - 1
    image = np.clip(np.rint(image * most), 0, most).astype(f'uint{bits}')

    mask = np.where(owner == VOID, VOID, 0).astype(np.uint8)
    objects = []
    for number, label in enumerate(labels, start=1):
        rows, cols = np.nonzero(owner == number)
        mask[rows, cols] = label + 1
        box = cols.min(), rows.min(), cols.max(), rows.max()
        objects.append((CLASSES[label + 1], tuple(int(v) for v in box)))
    return image, mask, objects


def _color(
    rng: np.random.Generator, saturation: float, value: float
) -> np.ndarray:
    """A random colour, RGB [0,1], whatever the class."""
    return np.array(
        colorsys.hsv_to_rgb(
            rng.uniform(), rng.uniform(*saturation), rng.uniform(*value)
        )
    )


def _background(rng: np.random.Generator, size: Size) -> np.ndarray:
    """A smooth blend of two soft colours, RGB [0,1] of shape (H, W, 3)."""
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    blend = np.zeros(size)
    for _ in range(3):
        fx, fy = rng.uniform(-1, 1, 2)
        blend += np.sin(2 * np.pi * (fx * x + fy * y + rng.uniform()))
    blend = (blend / 6 + 0.5)[..., None]
    ends = [_color(rng, (0.1, 0.35), (0.6, 0.9)) for _ in range(2)]
    return ends[0] + blend * (ends[1] - ends[0])


def _place(
    rng: np.random.Generator, owner: np.ndarray, tries: int = 30
) -> Optional[np.ndarray]:
    """Find a shape and a place that hide little of what is there.

    Returns:
        np.ndarray | None: Signed distance in pixels to the shape's outline,
        of shape (H, W), negative inside. None if no free place was found.
    """
    y, x = np.mgrid[: owner.shape[0], : owner.shape[1]]
    visible = np.bincount(owner.ravel(), minlength=VOID)[1:VOID]
    for _ in range(tries):
        radius = rng.uniform(*RADIUS)
        reach = radius + MARGIN
        cy, cx = (rng.uniform(reach, side - 1 - reach) for side in owner.shape)
        distance = _shape(rng, x - cx, y - cy, radius)
        hidden = np.bincount(owner[distance < 1.5], minlength=VOID + 1)[1:VOID]
        if (hidden <= MAX_HIDDEN * visible).all():
            return distance
    return None


def _shape(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, radius: float
) -> np.ndarray:
    """Signed distance to a random shape within a circle of this radius."""
    corners = CORNERS[rng.integers(len(CORNERS))]
    turn, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1)
    u = np.cos(turn) * x + np.sin(turn) * y
    v = (np.cos(turn) * y - np.sin(turn) * x) / stretch
    if corners is None:
        return (np.hypot(u, v) - radius) * stretch
    angles = 2 * np.pi * np.arange(corners) / corners
    sides = [np.cos(angle) * u + np.sin(angle) * v for angle in angles]
    return (np.max(sides, axis=0) - radius * np.cos(np.pi / corners)) * stretch


def _paint(
    rng: np.random.Generator, size: Size, label: int, bands: int
) -> np.ndarray:
    """A plane of one texture, [0,1] of shape (H, W, 3), or, of more bands,
    (H, W, 4)."""
    color = _color(rng, (0.35, 0.65), (0.5, 0.75))
    contrast = rng.uniform(*CONTRAST)
    # the colour's two shades lie as far above it as below: the mean stays
    name = CLASSES[label + 1]
    drawn = 'diagonal' if bands > 3 and name == 'checker' else name
    plane = color + contrast * _texture(rng, size, drawn)[..., None]
    if bands <= 3:
        return plane
    infrared = rng.uniform(*INFRARED.get(name, (0.2, 0.9)))
    return np.dstack([plane, np.full(size, infrared)])


def _blend(image: np.ndarray, bands: int) -> np.ndarray:
    """RGB, or these and infrared, as a number of bands."""
    if bands < 3:
        return np.dstack([image.mean(axis=2)] * bands)
    first = image.shape[2]
    more = [
        image[..., k % first] * 0.5 + image[..., (k + 1) % first] * 0.5
        for k in range(bands - first)
    ]
    return np.dstack([image, *more])


def _texture(rng: np.random.Generator, size: Size, name: str) -> np.ndarray:
    """The class's pattern: in [-1, 1], mean 0, of shape (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]]
    tilt = rng.uniform(-TILT, TILT)
    frequency = 2 * np.pi / rng.uniform(*PERIOD)
    u = frequency * (np.cos(tilt) * x + np.sin(tilt) * y)
    v = frequency * (np.cos(tilt) * y - np.sin(tilt) * x)
    phase_u, phase_v = rng.uniform(0, 2 * np.pi, 2)
    # both diagonals are one class, for a flip must not change the label
    sign = rng.choice([-1, 1])
    wave = dict(
        horizontal=lambda: np.sin(v + phase_v),
        vertical=lambda: np.sin(u + phase_u),
        diagonal=lambda: np.sin(u + sign * v + phase_u),
        checker=lambda: np.sin(u + phase_u) * np.sin(v + phase_v),
    )[name]()
    return np.tanh(2.5 * wave)


def _write_scene(
    root: Path,
    stem: str,
    image: np.ndarray,
    mask: np.ndarray,
    objects: Objects,
) -> None:
    path = _save(image, root / 'JPEGImages' / stem)
    indexed = Image.fromarray(mask)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(PALETTE)] = PALETTE
    palette[VOID] = VOID_COLOR
    indexed.putpalette(palette.ravel().tolist())
    indexed.save(root / 'SegmentationClass' / f'{stem}.png')
    _annotation(path.name, image.shape, objects).write(
        str(root / 'Annotations' / f'{stem}.xml')
    )


def _write_crop(
    folder: Path,
    index: int,
    rng: np.random.Generator,
    bands: int,
    bits: int,
) -> None:
    label = index % (len(CLASSES) - 1)
    image, _, _ = draw_scene(rng, CROP_SIZE, label, 1, bands, bits)
    _save(image, folder / CLASSES[label + 1] / f'{index:04d}')


def _save(image: np.ndarray, path: Path) -> Path:
    """Returns its path with its ending."""
    if image.shape[2] == 3 and image.dtype == np.uint8:
        path = path.with_suffix('.jpg')
        # subsampled chroma would blur the texture before anything reads it
        Image.fromarray(image).save(path, quality=96, subsampling=0)
        return path
    path = path.with_suffix('.tif')
    # one grey band and others beside it, as satellites' tools write
    imwrite(
        path,
        image[..., 0] if image.shape[2] == 1 else image,
        photometric='minisblack',
        planarconfig=None if image.shape[2] == 1 else 'contig',
    )
    return path


def _annotation(
    name: str, shape: Tuple[int, int, int], objects: Objects
) -> ElementTree.ElementTree:
    """The scene's boxes as VOC writes them: 1-based, corners inclusive."""
    root = ElementTree.Element('annotation')

    def add(parent, **children):
        for tag, text in children.items():
            ElementTree.SubElement(parent, tag).text = str(text)

    add(root, folder='toy_scenes', filename=name)
    height, width, depth = shape
    add(
        ElementTree.SubElement(root, 'size'),
        width=width,
        height=height,
        depth=depth,
    )
    add(root, segmented=1)
    for category, box in objects:
        item = ElementTree.SubElement(root, 'object')
        add(item, name=category, pose='Unspecified', truncated=0, difficult=0)
        add(
            ElementTree.SubElement(item, 'bndbox'),
            **{
                key: value + 1
                for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box)
            },
        )
    return ElementTree.ElementTree(root)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write the toy scenes: a small VOC-layout data set whose '
        'classes differ only in fine texture'
    )
    parser.add_argument('root', help='folder to write to')
    parser.add_argument('--num-train', type=int, default=160)
    parser.add_argument('--num-val', type=int, default=40)
    parser.add_argument(
        '--size', type=int, nargs=2, default=(128, 128), metavar=('H', 'W')
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--bands', type=int, default=3)
    parser.add_argument('--bits', type=int, default=8, choices=(8, 16))
    return parser.parse_args()


if __name__ == '__main__':
    write_toy_scenes(**vars(parse_args()))
