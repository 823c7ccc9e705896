import os.path as osp
from typing import List

from mmengine.fileio import list_from_file
from mmseg.datasets import BaseSegDataset

from sr4ir_mm.registry import DATASETS

from .images import DataError


@DATASETS.register_module()
class ListedMasks(BaseSegDataset):
    """Images and masks in any folders, of any names.

    A line of ``ann_file`` is an image and its mask with a tab between, below
    ``img_path`` and ``seg_map_path`` of ``data_prefix``. mmseg's own data
    sets know masks that differ from their images by one folder and suffix.

    Args:
        **kwargs: Arguments of :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        DataError: If a line is something else, which it names.
    """

    def load_data_list(self) -> List[dict]:
        """See mmseg."""
        samples = []
        for number, line in enumerate(list_from_file(self.ann_file), 1):
            image, tab, mask = line.partition('\t')
            if not tab:
                raise DataError(
                    f'{self.ann_file}, line {number}: {line!r} is no image '
                    'and its mask, with a tab between.'
                )
            samples.append(
                dict(
                    img_path=osp.join(self.data_prefix['img_path'], image),
                    seg_map_path=osp.join(
                        self.data_prefix['seg_map_path'], mask
                    ),
                    label_map=self.label_map,
                    reduce_zero_label=self.reduce_zero_label,
                    seg_fields=[],
                )
            )
        return samples
