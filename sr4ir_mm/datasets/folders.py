"""What is in a folder of images and labels, in whatever form."""

import csv
import json
import os
import os.path as osp
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import yaml

from sr4ir_mm.utils.images import (
    IMG_EXTENSIONS,
    DataError,
    ImageHeader,
    read_header,
)
from sr4ir_mm.utils.mistakes import few
from sr4ir_mm.utils.rasters import RASTER_EXTENSIONS, is_raster

from .rasters import LoadRasterFromFile
from .transforms import is_pair

LOSSLESS = '.png .bmp .tif .tiff .gif .pgm'.split()
SPLITS = dict(
    train=r'train(ing)?\d*',
    val=r'(val|valid|validation|dev)\d*',
    test=r'test(ing)?\d*',
)
# What a folder's name ends with, or begins with; the rest may be its split.
_NAME = r'(?P<before>.*?)[_-]?({0})|({0})[_-](?P<after>.+)'
_MASKS = _NAME.format(
    'masks?|labels?|label_?ids|annot|annotations?|segmentationclass|'
    'segmentations?|segs?|gt|ground_?truths?'
)
_PICTURES = _NAME.format('images?|imgs?|jpegimages|pictures|rgb|hr')
_MASK_END = r'[._-](mask|masks|label|labels|seg|segmentation|gt|l)'
_LR = r'(lr|low)([_.-]?(res|resolution))?[_.-]?(x?[2348])?|x[2348]'
# Words that stand beside that of a split.
_FILLERS = set(
    'annotations annot bbox coco csv data gt images img imgs instances json '
    'labels mask masks set split'.split()
)
_FILE = 'file filename file_name image image_id image_path img path id name'
_LABEL = 'label labels class class_name category target y'


@dataclass
class Folder:
    """Images of a folder with their labels.

    Args:
        root (str): The folder.
        task (str): ``seg``, ``det`` or ``cls``.
        format (str): How labels are written, in words.
        classes (list[str]): In the order of their labels; for masks, they are
            found later.
        splits (dict[str, list]): Images with their labels by split, ``''``
            where there is none. An image is its path below ``root``; a label
            is that of a mask, a list of objects (``bbox`` as in COCO, and
            ``label``), or a number.
        notes (list[str]): What is odd.
        lr (dict[str, str]): What to replace in the path of an HR image to get
            that of the LR image of its pair.
    """

    root: str
    task: str
    format: str
    classes: List[str]
    splits: Dict[str, List[Tuple[str, Any]]]
    notes: List[str] = field(default_factory=list)
    lr: Dict[str, str] = field(default_factory=dict)

    def path(self, file: str) -> str:
        """Of a file below the folder."""
        return osp.join(self.root, file)


def read_any_header(path: str) -> Optional[ImageHeader]:
    """Of a picture, or of bands that Pillow does not know: see
    :func:`read_header`."""
    header = read_header(path)
    if header is None and (is_raster(path) or path.lower().endswith('.jp2')):
        header = LoadRasterFromFile().read_header(path)
    return header


class Files:
    """The files below a folder.

    Args:
        root (str): The folder.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.all = sorted(_walk(root))
        self.images = self.ending(*IMG_EXTENSIONS)
        if all(map(_mask_key, self.images)):  # else, those are something else
            self.images += self.ending(*RASTER_EXTENSIONS)
        self.lr = self._set_pairs_apart()
        self.by_name = defaultdict(list)
        for path in self.images:
            name = osp.basename(path)
            for key in {name, osp.splitext(name)[0]}:
                self.by_name[key].append(path)

    def ending(self, *ends: str) -> List[str]:
        """Files of these suffixes."""
        return [path for path in self.all if _ends(path, ends)]

    def find(self, name: str, near: str) -> Optional[str]:
        """The image of this name, with or without folders and suffix; of
        several, the one that is nearest to the file that names it."""
        name = name.strip().replace('\\', '/')
        found = self.by_name.get(osp.basename(name), ())
        exact = [p for p in found if f'/{p}'.endswith(f'/{name}')]
        found = exact or found
        return max(found, key=lambda p: _alike(p, near), default=None)

    def _set_pairs_apart(self) -> Dict[str, str]:
        """Take the LR images of pairs out; what to replace to find them."""
        inner = {i for i in self.images if _part(osp.dirname(i), _LR)}
        if not inner:
            return {}
        by_stem = {}
        for path in inner:
            stem = re.sub(r'[_-]?x\d$', '', osp.splitext(path)[0])
            by_stem[osp.basename(stem)] = path
        others = [path for path in self.images if path not in inner]
        for path in others:
            low = by_stem.get(osp.splitext(osp.basename(path))[0])
            if not low or _part(osp.dirname(path), _MASKS):
                continue
            if not self._are_pair(path, low):
                continue  # low/ and high/ may be classes
            old, new = _difference(path, low)
            pair = {f'/{old}/': f'/{new}/'}
            names = osp.basename(path), osp.basename(low)
            stem = len(osp.splitext(names[0])[0])
            if names[0] != names[1]:  # '.png' becomes 'x4.png'
                pair[names[0][stem:]] = names[1][stem:]
            self.images = others
            return pair
        return {}

    def _are_pair(self, high: str, low: str) -> bool:
        sizes = []
        for path in (high, low):
            header = read_any_header(osp.join(self.root, path))
            sizes.append((header.height, header.width) if header else (1, 1))
        scale = round(sizes[0][1] / sizes[1][1])
        return scale > 1 and is_pair(*sizes, scale)


def _walk(root: str) -> Iterator[str]:
    for folder, inner, files in os.walk(root, followlinks=True):
        inner[:] = [x for x in inner if x[0] != '.' and x != '__MACOSX']
        for file in files:
            if file[0] != '.':
                path = osp.relpath(osp.join(folder, file), root)
                yield path.replace(os.sep, '/')


def _ends(path: str, ends) -> bool:
    return osp.splitext(path)[1].lower() in ends


def _part(folder: str, pattern: str) -> Optional[str]:
    """The first part of a folder's path that is of this form."""
    for part in folder.split('/'):
        if part and re.fullmatch(pattern, part, re.I):
            return part
    return None


def _mask_key(path: str) -> Optional[Tuple[Tuple[str, ...], str]]:
    """What a mask has in common with its image; None of what is no mask."""
    folder, stem = osp.split(osp.splitext(path)[0])
    name = re.fullmatch(f'(?P<rest>.+){_MASK_END}', stem, re.I)
    if not name and not _part(folder, _MASKS):
        return None
    return _place(folder, _MASKS), name['rest'] if name else stem


def _alike(a: str, b: str) -> int:
    return len(osp.commonprefix([a, b]))


def _difference(high: str, low: str) -> Tuple[str, str]:
    """The folder that two paths have in place of each other."""
    pairs = zip(high.split('/'), low.split('/'))
    return next((a, b) for a, b in pairs if a != b)


def split_of(path: str) -> str:
    """What a path says of its split; '' if nothing."""
    for part in reversed(path.split('/')):
        words = [w for w in re.split(r'[_. -]', part.lower()) if w]
        words = [word for word in words if word not in _FILLERS]
        for split, pattern in SPLITS.items():
            if len(words) == 1 and re.fullmatch(pattern, words[0]):
                return split
    return ''


# ------------------------------------------------------------ forms of labels


def look_at(root: str, task: Optional[str] = None) -> Folder:
    """Find out what is in a folder.

    Args:
        root (str): The folder.
        task (str, optional): ``seg``, ``det`` or ``cls``, where there are
            labels for several. Defaults to None.

    Raises:
        DataError: If nothing is understood, or more than one thing.
    """
    if not osp.isdir(root):
        raise DataError(f'{root}: there is no such folder.')
    files = Files(root)
    if not files.images:
        raise DataError(f'{root}: there are no images in it.')
    found = {}
    for kind, read in _FORMS:
        # images/ and masks/, say, are no classes
        if task in (None, kind) and not (kind == 'cls' and found):
            folder = None if kind in found else read(files)
            if folder:
                found[kind] = folder
    if not found:
        raise DataError(
            f'{root}: {len(files.images)} images, and no labels that are '
            f'understood{f" as those of {task}" if task else ""}. Expected '
            'PNG masks beside the images, COCO JSON, VOC XML, YOLO, a folder '
            'for each class, or a CSV file of files and labels: see '
            'docs/en/own_data.md.'
        )
    if len(found) > 1:
        kinds = [f'{f.format} (--task {kind})' for kind, f in found.items()]
        raise DataError(f'{root} has {" and ".join(kinds)}: say which.')
    folder = next(iter(found.values()))
    folder.lr = files.lr
    _apply_lists(folder, files)
    _leave_out_damaged(folder)
    return folder


def _leave_out_damaged(folder: Folder) -> None:
    for split, samples in folder.splits.items():
        kept = []
        for sample in samples:
            try:
                read_any_header(folder.path(sample[0]))
                kept.append(sample)
            except DataError as error:
                folder.notes.append(f'left out: {error}')
        folder.splits[split] = kept


def _apply_lists(folder: Folder, files: Files) -> None:
    """Splits by lists of images, such as VOC's ``ImageSets``."""
    if set(folder.splits) != {''}:
        return
    samples = {image: label for image, label in folder.splits['']}
    found = defaultdict(list)
    for path in files.ending('.txt'):
        split = osp.splitext(osp.basename(path))[0]
        if split not in SPLITS:
            continue
        with open(folder.path(path), encoding='utf-8', errors='replace') as f:
            names = [line.strip().split(' ')[0] for line in f if line.strip()]
        images = [files.find(name, path) for name in names]
        images = [image for image in images if image in samples]
        if images and len(images) > len(names) / 2:
            found[split] = [(image, samples[image]) for image in images]
    if 'train' in found and len(found) > 1:
        listed = {image for part in found.values() for image, _ in part}
        left = len(samples) - len(listed)
        if left:
            folder.notes.append(f'{left} images are in none of the lists')
        folder.splits = dict(found)


def _folder(
    files: Files, task: str, form: str, classes: List[str], samples: dict
) -> Optional[Folder]:
    splits = {split: found for split, found in samples.items() if found}
    return splits and Folder(files.root, task, form, classes, splits) or None


def _coco(files: Files) -> Optional[Folder]:
    parts, used, names = [], Counter(), {}
    for path in files.ending('.json'):
        try:
            with open(osp.join(files.root, path), encoding='utf-8') as file:
                data = json.load(file)
            boxes = [x for x in data['annotations'] if x.get('bbox')]
            if not boxes or 'keypoints' in boxes[0]:
                continue
            names.update({c['id']: c['name'] for c in data['categories']})
            used.update(x['category_id'] for x in boxes)
            parts.append((path, data['images'], boxes))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # some other JSON
    ids = [id for id in sorted(names) if used[id]]
    samples, missing = defaultdict(list), []
    for path, images, boxes in parts:
        objects = defaultdict(list)
        for box in boxes:
            kept = {k: box[k] for k in _COCO_KEYS if k in box}
            kept['label'] = ids.index(box['category_id'])
            objects[box['image_id']].append(kept)
        for image in images:
            file = files.find(image['file_name'], path)
            if file is None:
                missing.append(image['file_name'])
            else:
                found = objects[image['id']]
                samples[split_of(path)].append((file, found))
    folder = _folder(
        files, 'det', 'COCO JSON', [str(names[id]) for id in ids], samples
    )
    if folder and missing:
        folder.notes.append(f'there are no files of {few(missing, 3)}')
    if folder and len(ids) < len(names):
        absent = [names[id] for id in sorted(names) if id not in ids]
        folder.notes.append(f'without boxes, no class: {few(absent, 5)}')
    return folder


_COCO_KEYS = 'bbox area iscrowd segmentation'.split()


def _voc(files: Files) -> Optional[Folder]:
    found, names = [], set()
    for path in files.ending('.xml'):
        try:
            tree = ElementTree.parse(osp.join(files.root, path)).getroot()
        except ElementTree.ParseError as error:
            raise DataError(f'{path}: {error}.') from error
        if tree.tag != 'annotation':
            continue
        stem = osp.splitext(osp.basename(path))[0]
        image = files.find(stem, path) or files.find(
            tree.findtext('filename') or '', path
        )
        if image is None:
            continue
        objects = []
        for item in tree.findall('object'):
            corners = 'xmin ymin xmax ymax'.split()
            box = item.find('bndbox')
            x1, y1, x2, y2 = (float(box.findtext(key)) for key in corners)
            name = (item.findtext('name') or '').strip()
            names.add(name)
            # pixels are counted from 1, and the last one is part of the box
            bbox = [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]
            objects.append(dict(bbox=bbox, label=name))
        found.append((image, objects))
    classes = sorted(names)
    samples = defaultdict(list)
    for image, objects in found:
        for item in objects:
            item['label'] = classes.index(item['label'])
        samples[split_of(osp.dirname(image))].append((image, objects))
    return _folder(files, 'det', 'VOC XML', classes, samples)


def _yolo(files: Files) -> Optional[Folder]:
    labels = {}
    texts = set(files.ending('.txt'))
    for image in files.images:
        stem = osp.splitext(image)[0]
        text = f'{stem}.txt'
        parts = stem.split('/')
        for i, part in enumerate(parts):
            if part == 'images':
                other = [*parts[:i], 'labels', *parts[i + 1 :]]
                if '/'.join(other) + '.txt' in texts:
                    text = '/'.join(other) + '.txt'
        if text in texts:
            labels[image] = text
    if not labels:
        return None
    names = _yolo_names(files)
    parse = _yolo_reader()
    samples, largest = defaultdict(list), 0
    for image in files.images:
        objects = []
        if image in labels:
            objects = parse(files.root, image, labels[image])
            largest = max([largest, *(item['label'] + 1 for item in objects)])
        samples[split_of(osp.dirname(image))].append((image, objects))
    if names and largest > len(names):
        raise DataError(
            f'{files.root}: labels have the class {largest - 1}, and '
            f'data.yaml names {len(names)}: {few(names, 20)}. Classes are '
            'counted from 0.'
        )
    names = names or [f'class {i}' for i in range(largest)]
    folder = _folder(files, 'det', 'YOLO', names, samples)
    empty = len(files.images) - len(labels)
    if empty:
        folder.notes.append(f'{empty} images have no file of labels: nothing')
    return folder


def _yolo_names(files: Files) -> List[str]:
    for path in files.ending('.yaml', '.yml'):
        with open(osp.join(files.root, path), encoding='utf-8') as file:
            names = (yaml.safe_load(file) or {}).get('names')
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names, key=int)]
        if names:
            return list(map(str, names))
    return _names(files)


def _yolo_reader() -> Callable:
    try:
        from supervision.dataset.formats import yolo
    except ImportError as error:
        raise DataError(
            'YOLO labels are read by supervision: `pip install supervision`.'
        ) from error
    from pycocotools import mask as coco_mask

    def parse(root: str, image: str, text: str) -> List[dict]:
        header = read_any_header(osp.join(root, image))
        with open(osp.join(root, text), encoding='utf-8') as file:
            lines = [line for line in file.read().splitlines() if line.strip()]
        polygons = any(len(line.split()) > 6 for line in lines)
        try:
            found = yolo.yolo_annotations_to_detections(
                lines, (header.width, header.height), with_masks=polygons
            )
        except ValueError as error:
            raise DataError(f'{osp.join(root, text)}: {error}') from error
        objects = []
        for i, (x1, y1, x2, y2) in enumerate(found.xyxy.tolist()):
            item = dict(bbox=[x1, y1, x2 - x1, y2 - y1])
            item['label'] = int(found.class_id[i])
            if polygons:
                mask = found.mask[i].astype('uint8', order='F')
                code = coco_mask.encode(mask)
                item['segmentation'] = dict(
                    size=code['size'], counts=code['counts'].decode()
                )
            objects.append(item)
        return objects

    return parse


def _masks(files: Files) -> Optional[Folder]:
    masks, jpeg, keys = {}, set(), set()
    for path in files.images:
        key = _mask_key(path)
        if not key:
            continue
        if _ends(path, LOSSLESS):
            masks[key] = path
        elif _ends(path, IMG_EXTENSIONS):
            jpeg.add(key)
    samples, alone = defaultdict(list), set()
    for path in files.images:
        folder, stem = osp.split(osp.splitext(path)[0])
        if _part(folder, _MASKS):
            continue
        key = _place(folder, _PICTURES), stem
        mask = masks.get(key)
        keys.add(key)
        if mask:
            samples[split_of(folder)].append((path, mask))
        else:
            alone.add(path)
    folder = _folder(files, 'seg', 'masks', _names(files), samples)
    alone -= set(masks.values())
    if folder and alone:
        folder.notes.append(
            f'{len(alone)} images have no mask, and are left out'
        )
    if not folder and jpeg & keys:
        raise DataError(
            f'{files.root}: {len(jpeg & keys)} masks are JPEG, which blurs '
            'ids and colours: save masks as PNG.'
        )
    return folder


def _place(folder: str, pattern: str) -> Tuple[str, ...]:
    """A folder without the word that says what is in it."""
    parts = []
    for part in folder.split('/'):
        found = re.fullmatch(pattern, part, re.I)
        if found:
            part = found['before'] or found['after']
        parts.append(part)
    return tuple(part for part in parts if part)


def _names(files: Files) -> List[str]:
    """Names of classes, one a line, as some folders have them."""
    for path in files.ending('.txt'):
        stem = osp.splitext(osp.basename(path))[0]
        if re.fullmatch('(classes|labels|names|codes|class_names)', stem):
            with open(osp.join(files.root, path), encoding='utf-8') as file:
                return [line.strip() for line in file if line.strip()]
    return []


def color_names(root: str) -> Dict[tuple, str]:
    """Classes by colour: ``class_dict.csv``, or CVAT's ``labelmap.txt``."""
    names = {}
    for path in _walk(root):
        if osp.basename(path) == 'class_dict.csv':
            with open(osp.join(root, path), newline='') as file:
                for name, *color in list(csv.reader(file))[1:]:
                    names[tuple(map(int, color[:3]))] = name.strip()
        elif osp.basename(path) == 'labelmap.txt':
            with open(osp.join(root, path)) as file:
                for line in file:
                    name, _, color = line.strip().partition(':')
                    numbers = re.findall(r'\d+', color.split(':')[0])
                    if name[:1] != '#' and len(numbers) == 3:
                        names[tuple(map(int, numbers))] = name
    return names


def _table(files: Files) -> Optional[Folder]:
    rows = []
    for path in files.ending('.csv', '.tsv'):
        with open(osp.join(files.root, path), newline='') as file:
            text = file.read()
        try:
            dialect = csv.Sniffer().sniff(text[:4096], ',;\t')
        except csv.Error:
            dialect = 'excel'
        table = [row for row in csv.reader(text.splitlines(), dialect) if row]
        rows += _labelled(files, path, table)
    classes = sorted({label for _, label, _ in rows}, key=_number_first)
    samples = defaultdict(list)
    for image, label, split in rows:
        samples[split].append((image, classes.index(label)))
    return _folder(files, 'cls', 'CSV', classes, samples)


def _labelled(files: Files, path: str, table: list) -> List[tuple]:
    """Images, labels and splits of a table; none if it is some other."""
    if not table or len(table[0]) < 2:
        return []
    head = [cell.strip().lower() for cell in table[0]]
    if {'xmin', 'x1', 'bbox'} & set(head):
        raise DataError(
            f'{path}: boxes in a CSV file are not read: save them as COCO '
            'JSON.'
        )
    file, label = 0, 1
    if not files.find(table[0][0], path):
        columns = [
            next((i for i, name in enumerate(head) if name in words), None)
            for words in (_FILE.split(), _LABEL.split())
        ]
        if None in columns and len(head) == 2:
            columns = [0, 1]
        if None in columns:
            return []
        (file, label), table = columns, table[1:]
    part = head.index('split') if 'split' in head else None
    rows, missing = [], []
    for row in table:
        image = files.find(row[file], path)
        split = split_of(path) if part is None else split_of(row[part])
        if image:
            rows.append((image, row[label].strip(), split))
        else:
            missing.append(row[file])
    if rows and missing:
        raise DataError(
            f'{path}: {len(missing)} of {len(table)} files are not there: '
            f'{few(missing, 3)}.'
        )
    return rows


def _number_first(label: str) -> tuple:
    """Numbers by size, before words."""
    whole = re.fullmatch(r'-?\d+', label)
    return (0, int(label), '') if whole else (1, 0, label)


def _is_of_all(folder: str) -> bool:
    """Whether its name says no class: images/, but not images_of_cats/."""
    found = re.fullmatch(_PICTURES, folder, re.I)
    return bool(found) and not found['after']


def _class_folders(files: Files) -> Optional[Folder]:
    found = defaultdict(list)
    for path in files.images:
        parts = path.split('/')[:-1]
        while parts and (split_of(parts[0]) or _is_of_all(parts[0])):
            parts = parts[1:]
        if not parts:
            return None  # images that lie beside the folders
        # images of a class may lie in folders of its own
        found[parts[0]].append(path)
    if len(found) < 2:
        return None
    classes = sorted(found, key=_number_first)
    samples = defaultdict(list)
    for label, name in enumerate(classes):
        for path in found[name]:
            samples[split_of(path.split('/')[0])].append((path, label))
    return _folder(files, 'cls', 'a folder a class', classes, samples)


_FORMS = (
    ('det', _coco),
    ('det', _voc),
    ('det', _yolo),
    ('seg', _masks),
    ('cls', _table),
    ('cls', _class_folders),
)
