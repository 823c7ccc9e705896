import os.path as osp
from typing import List, Tuple

import numpy as np
from mmengine.dataset import BaseDataset

from sr4ir_mm.registry import DATASETS


class _Digits(BaseDataset):
    """Images of single digits that are kept in one file each split.

    A sample has ``img``, uint8 BGR of shape (H, W, 3), which is how
    OpenMMLab loads image files, and ``gt_label``, as mmpretrain expects them.

    Args:
        data_root (str): The folder of the files. If it holds the file
            ``npz``, that is read: for a split ``test``, its arrays
            ``test_images``, uint8 of shape (N, H, W) or RGB of shape (N, H, W,
            3), and ``test_labels``, 0 to 9 of shape (N,). Otherwise, the files
            as distributed are.
        split (str): One of ``splits``. Defaults to ``train``.
        **kwargs: See :class:`mmengine.dataset.BaseDataset`, e.g. ``indices``,
            which takes a part of the split.
    """

    METAINFO = dict(classes=tuple('0123456789'))
    splits: Tuple[str, ...]
    npz: str
    homepage: str

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        if split not in self.splits:
            raise ValueError(
                f'{type(self).__name__}.split={split!r}: expected one of '
                f'{", ".join(self.splits)}.'
            )
        self.split = split
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read all images and labels of the split.

        Raises:
            FileNotFoundError: If ``data_root`` has no file of the split.
            KeyError: If the ``.npz`` file lacks an array of the split.
            ValueError: If it has not one label for each image.
        """
        npz = osp.join(self.data_root, self.npz)
        if osp.isfile(npz):
            images, labels = self._read_npz(npz)
        else:
            images, labels = self._read_distributed()
        if len(images) != len(labels):
            raise ValueError(
                f'{self.data_root}, split {self.split!r}: {len(images)} '
                f'images, but {len(labels)} labels: complete the files.'
            )
        if images.ndim == 3:
            images = np.stack([images] * 3, axis=-1)
        return [
            dict(img=np.ascontiguousarray(image[..., ::-1]), gt_label=label)
            for image, label in zip(images, labels.tolist())
        ]

    def _read_npz(self, path: str) -> Tuple[np.ndarray, np.ndarray]:
        with np.load(path) as arrays:
            wanted = f'{self.split}_images', f'{self.split}_labels'
            for key in wanted:
                if key not in arrays:
                    raise KeyError(
                        f'{path} has no array {key!r}, only '
                        f'{", ".join(arrays)}: name another '
                        f'{type(self).__name__}.split or complete the file.'
                    )
            return tuple(arrays[key] for key in wanted)

    def _read_distributed(self) -> Tuple[np.ndarray, np.ndarray]:
        """-> images, (N, H, W) or RGB (N, H, W, 3); labels, (N,)."""
        raise NotImplementedError

    def _find(self, *names: str) -> str:
        """The first of these files that is in ``data_root``."""
        paths = [osp.join(self.data_root, name) for name in names]
        for path in paths:
            if osp.isfile(path):
                return path
        raise FileNotFoundError(
            f'{type(self).__name__}.data_root={self.data_root!r} has neither '
            f'{self.npz} nor {" nor ".join(names)}: download the files from '
            f'{self.homepage}, or name the folder where they are.'
        )


@DATASETS.register_module()
class MNIST(_Digits):
    """`MNIST <http://yann.lecun.com/exdb/mnist/>`_: 60,000 images for
    training and 10,000 for test, 28x28, grey, given as three equal channels.

    mmpretrain's own ``MNIST`` wants the files unpacked. Data sets in the
    same format, such as Fashion-MNIST, can be read, too: with
    ``metainfo=dict(classes=...)``.

    Args:
        data_root (str): Folder with ``mnist.npz`` or with the IDX files
            ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
            ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, as they
            are (``.gz``) or unpacked.
        split (str): ``train`` or ``test``. Defaults to ``train``.
        **kwargs: See :class:`_Digits`.
    """

    splits = ('train', 'test')
    npz = 'mnist.npz'
    homepage = 'http://yann.lecun.com/exdb/mnist/'

    def _read_distributed(self) -> Tuple[np.ndarray, np.ndarray]:
        # here, for no other task needs mmpretrain
        from mmpretrain.datasets.mnist import read_sn3_pascalvincent_tensor

        prefix = dict(train='train', test='t10k')[self.split]
        names = f'{prefix}-images-idx3-ubyte', f'{prefix}-labels-idx1-ubyte'
        return tuple(
            read_sn3_pascalvincent_tensor(
                self._find(f'{name}.gz', name)
            ).numpy()
            for name in names
        )


@DATASETS.register_module()
class SVHN(_Digits):
    """`SVHN <http://ufldl.stanford.edu/housenumbers/>`_, cropped digits:
    73,257 images for training, 26,032 for test and 531,131 extra ones, 32x32.

    Args:
        data_root (str): Folder with ``svhn.npz`` or with
            ``train_32x32.mat``, ``test_32x32.mat`` and ``extra_32x32.mat``.
        split (str): ``train``, ``test`` or ``extra``. Defaults to ``train``.
        **kwargs: See :class:`_Digits`.
    """

    splits = ('train', 'test', 'extra')
    npz = 'svhn.npz'
    homepage = 'http://ufldl.stanford.edu/housenumbers/'

    def _read_distributed(self) -> Tuple[np.ndarray, np.ndarray]:
        from scipy.io import loadmat

        mat = loadmat(self._find(f'{self.split}_32x32.mat'))
        # X is (H, W, 3, N); the digit 0 has the label 10
        return np.moveaxis(mat['X'], 3, 0), mat['y'][:, 0] % 10
