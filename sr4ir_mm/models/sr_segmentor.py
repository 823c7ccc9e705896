from typing import Optional

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from sr4ir_mm.registry import MODELS

from .image_space import Size
from .sr_task_model import SRTaskModel
from .views import Views


class _Sooner(TorchFunctionMode):
    """What mmseg makes of logits, the same in less time.

    On a CPU, ``argmax`` over the classes of an image takes two to six times as
    long as ``max``, as long as a small network; and resizing logits to the
    size that they have, six times as long as a copy.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.argmax and kwargs.get('dim') == 0:
            return args[0].max(**kwargs).indices
        if function is F.interpolate and args[0].shape[2:] == kwargs.get(
            'size', args[1] if len(args) > 1 else None
        ):
            return args[0].clone()
        return function(*args, **kwargs)


@MODELS.register_module()
class SRSegmentor(SRTaskModel):
    """A super-resolution network in front of any mmseg segmentor.

    Args:
        decode_head (dict, optional): Ignored: mmseg's ``get_flops.py`` reads
            ``model.decode_head.type`` in any config.
        **kwargs: See :class:`SRTaskModel`.
    """

    toolbox = 'mmseg'
    task_model_base = 'BaseSegmentor'

    def __init__(self, decode_head: Optional[dict] = None, **kwargs) -> None:
        super().__init__(**kwargs)

    def predict(self, views: Views, view: str) -> list:
        """See :meth:`SRTaskModel.predict`."""
        with _Sooner():
            return super().predict(views, view)

    def rescale_sample(self, sample, size: Size, batch_shape: Size):
        """See :meth:`SRTaskModel.rescale_sample`. Padding is scaled too."""
        padding = [0, batch_shape[1] - size[1], 0, batch_shape[0] - size[0]]
        sample.set_metainfo(dict(img_padding_size=padding))
        return super().rescale_sample(sample, size, batch_shape)

    # mmseg's test-time augmentation and inferencer look for these.

    @property
    def decode_head(self):
        return self.task_model.decode_head

    @property
    def out_channels(self) -> int:
        return self.task_model.out_channels

    @property
    def num_classes(self) -> int:
        return self.task_model.num_classes

    @property
    def align_corners(self) -> bool:
        return self.task_model.align_corners
