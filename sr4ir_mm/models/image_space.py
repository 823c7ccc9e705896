from typing import Union

import torch.nn as nn
from torch import Tensor

from .views import Views


class ImageSpace(nn.Module):
    """The two-way map between a task model's input and RGB in [0, 1].

    A task model sees images as its own data preprocessor leaves them:
    normalised, in the channel order it was trained with, padded to a batch.
    SR networks, degradations and image metrics see RGB in [0, 1]. This module
    is the data preprocessor of an :class:`SRTaskModel`, and its inverse.

    Args:
        data_preprocessor (nn.Module): The task model's own data preprocessor.
        is_rgb (bool): Whether it leaves the channels in RGB order (BGR
            otherwise).
    """

    def __init__(self, data_preprocessor: nn.Module, is_rgb: bool) -> None:
        super().__init__()
        self.data_preprocessor = data_preprocessor
        self.is_rgb = is_rgb

    def forward(
        self, data: Union[dict, Views], training: bool = False
    ) -> dict:
        """Preprocess a batch as the task model does.

        The phases of an iteration share one batch: its :class:`Views` pass
        through untouched, so that it is preprocessed and degraded once.

        Args:
            data (dict | Views): A batch of the data loader, or the views of a
                batch that has been here already.
            training (bool): Whether to apply batch augmentations.

        Returns:
            dict: Keyword arguments of :meth:`SRTaskModel.forward`.
        """
        if isinstance(data, Views):
            return dict(inputs=data, data_samples=data.data_samples)
        return self.data_preprocessor(data, training)

    def to_rgb(self, inputs: Tensor) -> Tensor:
        """Task-normalised (N, 3, H, W) -> RGB in [0, 1], same shape."""
        if self._normalizes:
            pre = self.data_preprocessor
            inputs = inputs * pre.std + pre.mean
        return self._swap(inputs) / 255

    def from_rgb(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> task-normalised, same shape."""
        inputs = self._swap(image) * 255
        if self._normalizes:
            pre = self.data_preprocessor
            inputs = (inputs - pre.mean) / pre.std
        return inputs

    @property
    def _normalizes(self) -> bool:
        return getattr(self.data_preprocessor, '_enable_normalize', False)

    def _swap(self, image: Tensor) -> Tensor:
        return image if self.is_rgb else image.flip(1)
