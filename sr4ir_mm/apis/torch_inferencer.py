from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement

from sr4ir_mm.datasets.rasters import widen
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.views import Views
from sr4ir_mm.utils.mistakes import explain
from sr4ir_mm.visualization import to_uint8

from .inferencer import Inferencer
from .model import init_model
from .predictions import rescale_prediction, to_plain
from .toolboxes import (
    build_pipeline,
    find_raster_loader,
    use_sliding_windows,
)

PRECISIONS = ('float32', 'bfloat16', 'float16')


class TorchInferencer(Inferencer):
    """By networks in PyTorch.

    Args:
        weights (str): See :func:`SRInferencer`, as the others.
        config (str | Config, optional): ``model`` there.
        device (str, optional): Defaults to the GPU, if there is one.
        tile (int, optional): See there.
        precision (str): See there.
        show_progress (bool): See there.
        cfg_options (dict, optional): See there.
    """

    model: SRTaskModel

    def __init__(
        self,
        weights: str,
        config: Union[str, Config, None] = None,
        device: Optional[str] = None,
        tile: Optional[int] = None,
        precision: str = 'float32',
        show_progress: bool = True,
        cfg_options: Optional[dict] = None,
    ) -> None:
        super().__init__(weights, show_progress)
        if precision not in PRECISIONS:
            raise ValueError(
                f'precision={precision!r}: expected one of '
                f'{", ".join(PRECISIONS)}.'
            )
        options = dict(cfg_options or {})
        if tile is not None:
            options['model.tile'] = tile
        self.model = init_model(weights, config, device, options)
        self.config = getattr(config, 'filename', config)
        self.options = options
        self.cfg = self.model.cfg
        self.dataset_meta = self.model.dataset_meta
        self.precision = precision
        self.tile = tile
        self.toolbox, self.scale = self.model.toolbox, self.model.scale
        has_bands = self.cfg.model.get('bands') is not None
        self.bands = self.model.bands if has_bands else None
        loader = find_raster_loader(self.cfg)
        self.reads_rasters = loader is not None
        self.loader = loader or {}
        self.pipeline: Dict[bool, Callable] = {
            hr: build_pipeline(self.cfg, self.model.toolbox, hr)
            for hr in (True, False)
        }
        if tile is not None and self.model.toolbox == 'mmseg':
            use_sliding_windows(self.model, tile * self.model.scale)

    @property
    def view(self) -> str:
        return self.model.view

    def _check(self, hr: bool, *others: Any) -> None:
        super()._check(hr, *others)
        if self.model.view == 'hr' and not hr:
            raise ValueError(
                "This model predicts from HR images (model.view='hr'), and "
                'makes none of LR images: say hr=True (--hr) for HR images.'
            )
        self.model.input_is_lr = not hr

    def stream(self, *args, **kwargs) -> Iterator[dict]:
        """See :meth:`Inferencer.stream`."""
        threads = torch.get_num_threads()
        try:
            yield from super().stream(*args, **kwargs)
        finally:  # those that are started later have it from here
            torch.set_num_threads(threads)

    def _start_thread(self) -> None:
        """Two teams of OpenMP on the same cores put each other to sleep at
        each operator, which takes a tenth of the networks' time."""
        torch.set_num_threads(1)

    def _about(self) -> dict:
        options = {key: str(value) for key, value in self.options.items()}
        return dict(
            super()._about(),
            config=self.config and str(self.config),
            precision=self.precision,
            options=options,
        )

    def _pack(self, pixels: np.ndarray, name: str, hr: bool) -> dict:
        scale = 1 if hr else self.model.scale
        if self.cfg.model.get('input_is_rgb'):
            pixels = pixels[..., ::-1]
        shape = pixels.shape[:2]
        item = self.pipeline[hr](
            dict(img=widen(pixels), img_shape=shape, ori_shape=shape)
        )
        # Predict in coordinates of the SR image.
        size = tuple(side * scale for side in item['inputs'].shape[1:])
        item['data_samples'].set_metainfo(
            dict(
                img_path=name,
                input_shape=shape,
                ori_shape=size,
                scale_factor=(1 / scale, 1 / scale),
            )
        )
        return item

    @torch.no_grad()
    def _predict(self, items: List[dict]) -> List[BaseDataElement]:
        """
        Returns:
            list[BaseDataElement]: On the CPU, each with ``pred_img`` and
            ``lr_img``: in [0, 1], (C, h, w).
        """
        data = self.model.data_preprocessor(pseudo_collate(items), False)
        views = Views(self.model, **data)
        fast = self.precision != 'float32'  # which CPUs of PyTorch 2.1 refuse
        dtype = getattr(torch, self.precision) if fast else None
        with torch.autocast(views.inputs.device.type, dtype, enabled=fast):
            samples = self.model.predict(views, self.model.view)
        for sample, lr, (height, width) in zip(
            samples, views['lr'], views.sizes
        ):
            rows, cols = (
                -(-side // self.model.scale) for side in (height, width)
            )
            sample.set_data(dict(lr_img=lr[:, :rows, :cols]))
        return [sample.cpu() for sample in samples]

    def _pictures(
        self, found: BaseDataElement
    ) -> Tuple[np.ndarray, np.ndarray]:
        bands = self.model.bands
        return to_uint8(found.lr_img, bands), to_uint8(found.pred_img, bands)

    def _sr_image(self, found: BaseDataElement) -> np.ndarray:
        return found.pred_img.float().numpy()

    def _to_plain(
        self, found: BaseDataElement, coordinates: str
    ) -> Union[np.ndarray, dict]:
        if coordinates == 'input':
            rescale_prediction(found, tuple(found.input_shape), self.model)
        return to_plain(found, self.model)

    def _explain(self, error: Exception) -> str:
        reason = explain(error, self.cfg)
        if _is_out_of_memory(error):
            tile = min(256, (self.model.tile or 512) // 2)
            reason = (
                f'the memory does not suffice; predict in tiles (--tile {tile}'
                f'), which then take less. {reason}'
            )
        return reason


def _is_out_of_memory(error: Exception) -> bool:
    """On the GPU, on the host, or in OpenCV; each says so in its own way."""
    words = (
        *('out of memory', "can't allocate memory", 'not enough memory'),
        'insufficient memory',
    )
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(w in text for w in words)
