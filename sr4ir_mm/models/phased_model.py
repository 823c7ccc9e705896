import random
from contextlib import contextmanager
from typing import Dict, Iterator, Optional, Sequence

import numpy as np
import torch
import torch.nn as nn
from mmengine.model import BaseModel
from torch import Tensor

from .phase import Phase, build_phases
from .pretrained import fitting_weights
from .views import Views

NETWORKS = ('sr_net', 'task_model')


class PhasedModel(BaseModel):
    """Networks that are trained phase by phase, by an alternating loop.

    What it takes to train some of them and leave the others alone; what they
    compute is :class:`SRTaskModel`. A subclass sets ``sr_net`` and
    ``task_model``, either of which may be None, then calls
    :meth:`set_phases`.
    """

    sr_net: Optional[nn.Module]
    task_model: nn.Module

    @property
    def networks(self) -> Dict[str, nn.Module]:
        """The networks by the name that phases and optimizers use."""
        return {
            name: getattr(self, name)
            for name in NETWORKS
            if getattr(self, name) is not None
        }

    def set_phases(self, phases: Sequence[dict]) -> None:
        """Build the recipe, for the networks that there are.

        Args:
            phases (Sequence[dict]): Configs of :class:`Phase`.

        Raises:
            ValueError: If a phase trains what there is not, or what is all
                frozen.
        """
        self.phases = nn.ModuleList(build_phases(phases))
        self._check_phases()
        # What a phase may unfreeze: `frozen_stages` stay frozen. Some
        # backbones freeze them in `train()` only.
        self.train()
        self._trainable = {
            name: [p for p in net.parameters() if p.requires_grad]
            for name, net in self.networks.items()
        }

    def init_weights(self) -> None:
        """Initialize as configured.

        Raises:
            RuntimeError: If pre-trained weights cannot be read or fetched.
            ValueError: If next to nothing of them fits.
        """
        with fitting_weights(self):
            super().init_weights()

    @contextmanager
    def in_phase(self, phase: Phase, views: Views) -> Iterator[None]:
        """Inside, only the networks that ``phase`` trains can move: the others
        have no gradient and are in eval mode. What networks made of ``views``
        before is forgotten, unless the phase keeps it."""
        views.refresh(keep=phase.keep_views)
        for name, network in self.networks.items():
            self._set_frozen(name, name not in phase.trains)
            network.train(name in phase.trains)
        try:
            yield
        finally:
            for name in self.networks:
                self._set_frozen(name, False)

    def train_step(self, data: dict, optim_wrapper) -> Dict[str, Tensor]:
        """Called by loops that know no phases.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f'{type(self).__name__} is trained phase by phase: set '
            "train_cfg.type to 'sr4ir_mm.AlternatingEpochTrainLoop' or "
            "'sr4ir_mm.AlternatingIterTrainLoop'."
        )

    @torch.no_grad()
    def rehearse(self, views: Views) -> None:
        """A dry run: compute every loss of every phase once, and leave the
        model and all random state as they were.

        What a later phase or loss needs and does not find then fails at the
        first iteration, not after hours of training. Networks are in the mode
        of the phase: heads of the toolboxes tell losses from predictions by
        it.
        """
        views = views.fresh()
        training = self.training
        buffers = {k: buffer.clone() for k, buffer in self.named_buffers()}
        states = random.getstate(), np.random.get_state()
        devices = [views.inputs.device] if views.inputs.is_cuda else []
        with torch.random.fork_rng(devices):
            for phase in self.phases:
                for name, network in self.networks.items():
                    network.train(name in phase.trains)
                begins = {loss.span.begin for loss in phase.losses}
                for begin in sorted(begins):
                    active = [x for x in phase.losses if begin in x.span]
                    phase(self, views, active)
        random.setstate(states[0])
        np.random.set_state(states[1])
        for name, buffer in buffers.items():
            self.get_buffer(name).copy_(buffer)
        self.train(training)

    def _set_frozen(self, name: str, frozen: bool) -> None:
        for param in self._trainable[name]:
            param.requires_grad_(not frozen)

    def _check_phases(self) -> None:
        for phase in self.phases:
            for name in phase.trains or ['nothing']:
                where = f'model.phases: phase {phase.name!r} trains {name!r}'
                if name not in NETWORKS:
                    raise ValueError(
                        f'{where}: expected one or more of '
                        f'{", ".join(NETWORKS)}.'
                    )
                network = self.networks.get(name)
                if network is None:
                    raise ValueError(f'{where}, but model.{name} is not set.')
                if not any(p.requires_grad for p in network.parameters()):
                    raise ValueError(
                        f'{where}, which has no trainable '
                        'parameter (are all its stages frozen?).'
                    )
            whole = phase.needs_batch([self.networks[n] for n in phase.trains])
            phase.splits_batch = whole is None
            if whole and phase.micro_batch_size is not None:
                raise ValueError(
                    f'model.phases: phase {phase.name!r} has '
                    f'micro_batch_size={phase.micro_batch_size}, but its '
                    f'{whole} looks at the batch as a whole: leave one out.'
                )
