from contextlib import contextmanager
from typing import Iterator

import torch.nn as nn


@contextmanager
def explain_unreachable_weights(model: nn.Module) -> Iterator[None]:
    """Name the files of pre-trained weights, if one cannot be read or fetched.

    Args:
        model (nn.Module): What is initialized inside.

    Raises:
        RuntimeError: With the config keys and the ways out.
    """
    try:
        yield
    except OSError as error:
        wanted = '\n'.join(
            f'  model.{name}.init_cfg: {module.init_cfg["checkpoint"]}'
            for name, module in model.named_modules()
            if _is_pretrained(getattr(module, 'init_cfg', None))
        )
        raise RuntimeError(
            f'Cannot load pre-trained weights ({error}). Of these, one is '
            f'out of reach:\n{wanted}\nEither point its '
            '`init_cfg.checkpoint` to a local file, or start from random '
            'weights with `init_cfg=None`, in the config or by --cfg-options.'
        ) from error


def _is_pretrained(init_cfg) -> bool:
    return isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained'
