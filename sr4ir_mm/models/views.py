from typing import TYPE_CHECKING, Iterable, Optional

import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from .sr_task_model import SRTaskModel

VIEWS = ('hr', 'lr', 'bilinear', 'sr', 'cqmix')
# What a network made: stale as soon as that network has been updated.
_FROM_NETWORK = ('sr', 'cqmix')


def check_views(names: Iterable[str], where: str) -> None:
    """Raise ValueError if one of ``names`` is not a view."""
    unknown = [name for name in names if name not in VIEWS]
    if unknown:
        raise ValueError(
            f'{where}: unknown view {unknown[0]!r}. A view is '
            f'one of {", ".join(VIEWS)}.'
        )


class Views:
    """The pictures of one batch that networks and losses can look at.

    ``views[name]`` is RGB in [0, 1], (N, 3, H, W), made when it is first
    asked for:

    - ``hr``: the dataset's images.
    - ``lr``: their degraded copy, (N, 3, ceil(H / scale), ceil(W / scale)).
    - ``bilinear``: ``lr`` enlarged bilinearly to the size of ``hr``.
    - ``sr``: the SR network's output for ``lr``, of the size of ``hr``.
    - ``cqmix``: patch-wise mixture of ``sr`` and ``hr`` (:class:`CQMix`).

    Args:
        model (SRTaskModel): The model whose networks make the views.
        inputs (Tensor): HR batch, task-normalised, (N, 3, H, W).
        data_samples (list, optional): Labels and meta information.
    """

    def __init__(
        self,
        model: 'SRTaskModel',
        inputs: Tensor,
        data_samples: Optional[list] = None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.data_samples = data_samples
        self._made = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            self._made[name] = getattr(self, f'_make_{name}')()
        return self._made[name]

    def task_input(self, name: str) -> Tensor:
        """A view as the task model sees it: task-normalised, (N, 3, H, W)."""
        if name == 'hr':
            return self.inputs
        return self.model.image_space.from_rgb(self[name])

    def refresh(self) -> None:
        """Forget the views that a network made."""
        for name in _FROM_NETWORK:
            self._made.pop(name, None)

    def _make_hr(self) -> Tensor:
        return self.model.image_space.to_rgb(self.inputs)

    def _make_lr(self) -> Tensor:
        scale = self.model.scale
        height, width = self.inputs.shape[-2:]
        if min(height, width) < scale:
            files = [
                sample.metainfo.get('img_path')
                for sample in self.data_samples or []
            ]
            raise ValueError(
                f'An image of {width}x{height} pixels is smaller than '
                f'model.scale={scale}: leave it out or resize it in the '
                f'pipeline. Batch: {files}'
            )
        padded = F.pad(
            self['hr'],
            (0, -width % scale, 0, -height % scale),
            mode='replicate',
        )
        return self.model.degradation(padded)

    def _make_bilinear(self) -> Tensor:
        # align_corners as in the authors' code for their LR baseline.
        return self._like_hr(
            F.interpolate(
                self['lr'],
                scale_factor=self.model.scale,
                mode='bilinear',
                align_corners=True,
            )
        )

    def _make_sr(self) -> Tensor:
        if self.model.sr_net is None:
            raise ValueError(
                "View 'sr' is asked for, but model.sr_net is not set."
            )
        sr = self.model.sr_net(self['lr'])
        expected = [side * self.model.scale for side in self['lr'].shape[2:]]
        if list(sr.shape[2:]) != expected:
            raise ValueError(
                f'model.sr_net turns {tuple(self["lr"].shape)} into '
                f'{tuple(sr.shape)}: its factor is not model.scale='
                f'{self.model.scale}.'
            )
        return self._like_hr(sr)

    def _make_cqmix(self) -> Tensor:
        return self.model.cqmix(self['sr'], self['hr'])

    def _like_hr(self, image: Tensor) -> Tensor:
        height, width = self.inputs.shape[-2:]
        return image[..., :height, :width]
