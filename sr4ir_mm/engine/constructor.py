from typing import Optional

import torch.nn as nn
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict, build_optim_wrapper

from sr4ir_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NetworkOptimWrapperConstructor:
    """One optimizer wrapper for each network, built as if the network were
    alone.

    Each network has a config as in its own toolbox, with a ``constructor`` and
    ``paramwise_cfg`` of its own. They see the bare network, and so the names,
    depths and types that they know: layer-wise decay is as in the toolbox.

    Args:
        optim_wrapper_cfg (dict): A config for each network, by its name.
        paramwise_cfg (None): It belongs into the networks' configs.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: Optional[dict] = None
    ) -> None:
        if paramwise_cfg is not None:
            raise ValueError(
                'optim_wrapper.paramwise_cfg belongs to one network: '
                'optim_wrapper.task_model.paramwise_cfg, for example.'
            )
        self.cfgs = {
            name: cfg
            for name, cfg in optim_wrapper_cfg.items()
            if name not in ('type', '_scope_', '_delete_')
        }

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """
        Args:
            model (nn.Module): An :class:`SRTaskModel`, or its DDP wrapper.

        Raises:
            ValueError: If it has no network of such a name.
        """
        model = model.module if is_model_wrapper(model) else model
        networks = {name: getattr(model, name, None) for name in self.cfgs}
        for name, network in networks.items():
            if network is None:
                raise ValueError(
                    f'optim_wrapper.{name}: there is no such network, but '
                    f'{" and ".join(model.networks)}.'
                )
        return OptimWrapperDict(
            **{
                name: build_optim_wrapper(networks[name], cfg)
                for name, cfg in self.cfgs.items()
            }
        )
