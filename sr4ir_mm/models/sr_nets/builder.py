import copy
from functools import partial
from typing import Optional

import torch.nn as nn
from mmengine.model import initialize

from sr4ir_mm.registry import MODELS, require_package


def build_sr_net(cfg: Optional[dict]) -> Optional[nn.Module]:
    """Build an SR network.

    ``init_cfg`` is seen to here, since networks of mmagic refuse it, ignore
    it, or have no ``init_weights``; so is ``with_cp``, OpenMMLab's name of
    activation checkpointing, see :class:`Views`.
    """
    if cfg is None:
        return None
    cfg = copy.copy(cfg)
    init_cfg = cfg.pop('init_cfg', None)
    with_cp = cfg.pop('with_cp', False)
    scope, _, name = str(cfg.get('type')).rpartition('.')
    if scope == 'mmagic':
        require_package('mmagic', 'mmagic', name)
    if cfg.get('type') == 'mmagic.EDSRNet':
        cfg['type'] = 'sr4ir_mm.EDSRNet'  # the same, with less work
    network = MODELS.build(cfg)
    network.init_cfg, network.with_cp = init_cfg, with_cp
    if init_cfg is not None:
        network.init_weights = partial(initialize, network, init_cfg)
    return network
