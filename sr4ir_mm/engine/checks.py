from typing import List

from torch import nn


def not_finite(model: nn.Module) -> List[str]:
    """Names of the parameters that hold NaN or infinity, and of the buffers
    that hold NaN (a mask may be infinite)."""
    found = [
        name
        for name, param in model.named_parameters()
        if not param.isfinite().all()
    ]
    return found + [
        name
        for name, buffer in model.named_buffers()
        if buffer.is_floating_point() and buffer.isnan().any()
    ]
