from contextlib import contextmanager
from typing import Iterator

import torch
import torch.nn as nn
from mmengine.optim import OptimWrapper

from sr4ir_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on CPUs as well.

    It has the range of float32, so that there is no scaling of losses, no
    step that is left out, and no wait for the device. On GPUs without it, take
    mmengine's ``AmpOptimWrapper``.

    Args:
        **kwargs: See :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """See :class:`mmengine.optim.OptimWrapper`."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(
            device, torch.bfloat16
        ):
            yield
