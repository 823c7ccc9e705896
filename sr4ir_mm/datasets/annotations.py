"""Annotation files are read by name, and what cannot be right is an error.

mmdet 3.3.0 gives labels in the order of a COCO file's categories, whatever
``metainfo.classes`` says, and passes over what it does not understand. Its
readers are repaired when they are imported (``sr4ir_mm/compat.py``).
"""

import os.path as osp
from collections import Counter
from difflib import get_close_matches
from functools import wraps
from math import isfinite
from types import ModuleType
from typing import List, Optional, Sequence

from sr4ir_mm.utils.images import DataError, read_header, require_file
from sr4ir_mm.utils.mistakes import few


def repair_coco_api(module: ModuleType) -> None:
    """Let mmdet's ``COCO`` check the file that it reads, and find categories
    in the order of the names that are asked for."""
    COCO = module.COCO
    read, create_index = COCO.__init__, COCO.createIndex

    @wraps(read)
    def read_and_check(self, annotation_file: Optional[str] = None) -> None:
        self.annotation_file = annotation_file
        try:
            if annotation_file is not None:
                require_file(annotation_file)
            read(self, annotation_file)
        except KeyError as error:
            raise DataError(
                f'{annotation_file}: it has no {error}.'
            ) from error
        except (TypeError, ValueError) as error:
            start = f'{annotation_file}: '
            raise DataError(f'{start}{error}'.replace(start * 2, start)) from (
                error
            )

    @wraps(create_index)
    def check_and_create_index(self) -> None:
        check_coco(self.dataset)
        create_index(self)

    def get_cat_ids(self, cat_names=(), sup_names=(), cat_ids=()):
        if not cat_names or sup_names or cat_ids:
            return self.getCatIds(cat_names, sup_names, cat_ids)
        return categories_by_name(self, cat_names)

    COCO.__init__ = read_and_check
    COCO.createIndex = check_and_create_index
    COCO.get_cat_ids = get_cat_ids


def check_coco(dataset: dict) -> None:
    """Check the content of a COCO file; areas that it lacks are those of the
    boxes.

    Args:
        dataset (dict): ``images``, ``annotations`` and ``categories``.

    Raises:
        DataError: With the id of what cannot be right.
    """
    images = dataset['images']
    categories = {category['id'] for category in dataset['categories']}
    _refuse_twice('image id', [image['id'] for image in images])
    names = [category['name'] for category in dataset['categories']]
    _refuse_twice('category', names)
    ids = {image['id'] for image in images}
    for annotation in dataset.get('annotations', ()):
        where = f'annotation {annotation.get("id")!r}'
        for key, known in (('image_id', ids), ('category_id', categories)):
            value = annotation[key]
            if value not in known:
                other = {str(x): x for x in known}.get(str(value))
                raise DataError(
                    f'{where} has {key}={value!r}, which there is not'
                    + (
                        f', but {other!r}: numbers and strings are different.'
                        if other is not None
                        else f' among the {len(known)} ids. Correct it, or '
                        'leave the annotation out.'
                    )
                )
        box = annotation.get('bbox')
        if box is None:
            continue
        try:
            good = len(box) == 4 and all(map(isfinite, box))
        except TypeError:
            good = False
        if not good:
            raise DataError(
                f'{where} has bbox={box!r}: expected four finite numbers, '
                '[left, top, width, height].'
            )
        if annotation.get('area') is None:
            annotation['area'] = box[2] * box[3]


def _refuse_twice(what: str, values: Sequence) -> None:
    if len(set(values)) < len(values):
        twice = Counter(values).most_common(1)[0][0]
        raise DataError(
            f'{what} {twice!r} is there twice: each needs its own.'
        )


def categories_by_name(coco, names: Sequence[str]) -> List[int]:
    """Ids of categories, in the order of the names.

    A category that the file lacks, with the others known, is one without
    annotations: a small split may have none.

    Args:
        coco: mmdet's ``COCO``.
        names (Sequence[str]): ``metainfo.classes``.

    Raises:
        DataError: If a class seems to be misspelt.
    """
    names = [names] if isinstance(names, str) else list(names)
    ids = {category['name']: id for id, category in coco.cats.items()}
    missing = [name for name in names if name not in ids]
    unknown = [name for name in ids if name not in names]
    if missing and unknown:
        near = get_close_matches(missing[0], unknown, 1, 0.4)
        hint = f' Did you mean {near[0]!r} by {missing[0]!r}?' if near else ''
        raise DataError(
            f'{coco.annotation_file}: metainfo.classes has '
            f'{few(map(repr, missing), 5)}, which is no category of the file; '
            f'it has {few(map(repr, unknown), 5)}, which metainfo.classes has '
            f'not.{hint} Classes: {few(names, 20)}; categories: '
            f'{few(ids, 20)}.'
        )
    for name in missing:
        ids[name] = max(
            (x for x in coco.cats if isinstance(x, int)), default=0
        )
        ids[name] += 1
        category = dict(id=ids[name], name=name)
        coco.cats[ids[name]] = category
        coco.dataset['categories'].append(category)
    return [ids[name] for name in names]


def repair_coco_dataset(module: ModuleType) -> None:
    """Let mmdet's ``CocoDataset`` look at images whose size the file does not
    say, without which it leaves their boxes out, and count the boxes that it
    leaves out (``left_out``)."""
    CocoDataset = module.CocoDataset
    parse = CocoDataset.parse_data_info

    @wraps(parse)
    def parse_and_count(self, raw_data_info: dict):
        image = raw_data_info['raw_img_info']
        if not all((image.get(key) or 0) > 0 for key in ('width', 'height')):
            path = osp.join(self.data_prefix['img'], image['file_name'])
            image.update(_size_of(path))
        info = parse(self, raw_data_info)
        known = [
            annotation['category_id'] in self.cat2label
            for annotation in raw_data_info['raw_ann_info']
            if not annotation.get('ignore')
        ]
        if 'left_out' not in vars(self):
            self.left_out = Counter()
        counts = self.left_out
        counts['of other categories'] += known.count(False)
        counts['without area in the image'] += sum(known) - len(
            info['instances']
        )
        return info

    CocoDataset.parse_data_info = parse_and_count


def repair_xml_dataset(module: ModuleType) -> None:
    """Let mmdet's ``XMLDataset`` strip blanks of names, count the objects
    whose names are no classes (``unknown_names``), and look at images whose
    size the file does not say."""
    XMLDataset = module.XMLDataset
    parse, parse_objects = (
        XMLDataset.parse_data_info,
        XMLDataset._parse_instance_info,
    )

    @wraps(parse)
    def parse_with_size(self, img_info: dict):
        require_file(img_info['xml_path'])
        info = parse(self, img_info)
        if info['width'] <= 0 or info['height'] <= 0:
            info.update(_size_of(info['img_path']))
        return info

    @wraps(parse_objects)
    def parse_named_objects(self, raw_ann_info, minus_one: bool = True):
        unknown = vars(self).setdefault('unknown_names', Counter())
        for item in raw_ann_info.findall('object'):
            name = item.find('name')
            name.text = (name.text or '').strip()
            if name.text not in self._metainfo['classes']:
                unknown[name.text] += 1
        return parse_objects(self, raw_ann_info, minus_one)

    XMLDataset.parse_data_info = parse_with_size
    XMLDataset._parse_instance_info = parse_named_objects


def _size_of(path: str) -> dict:
    header = read_header(path)
    if header is None:
        raise DataError(
            f'{path}: its annotation does not say its width and height, and '
            'neither does a header that is understood: add them.'
        )
    return dict(width=header.width, height=header.height)
