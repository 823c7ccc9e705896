from typing import Iterator, List

from torch.utils.data import BatchSampler

from sr4ir_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class AspectRatioBatchSampler(BatchSampler):
    """mmdet's, with as many batches on every rank: portraits and landscapes
    in batches of their own, as far as they fill them, the rest together.

    mmdet 3.3.0 drops a last batch that is full, so that ranks may differ in
    their number of batches, and wait for each other for ever. Here it depends
    on the number of images alone. The runner puts it in place of mmdet's.

    Args:
        sampler (Sampler): Gives indices; its ``dataset`` knows ``width`` and
            ``height``.
        batch_size (int): Images in a batch.
        drop_last (bool): Whether to leave out a last batch that is smaller.
            Defaults to False.
    """

    def __init__(
        self, sampler, batch_size: int, drop_last: bool = False
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[List[int]]:
        groups = {True: [], False: []}
        for index in self.sampler:
            info = self.sampler.dataset.get_data_info(index)
            group = groups[info['width'] < info['height']]
            group.append(index)
            if len(group) == self.batch_size:
                yield group[:]
                group.clear()
        rest = groups[True] + groups[False]
        for start in range(0, len(rest), self.batch_size):
            batch = rest[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch
