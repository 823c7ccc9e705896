"""What makes training cheaper by default changes nothing but the last bits:
five iterations with and without it, in double precision."""

import copy
import sys
from functools import lru_cache

import pytest
import torch
from mmengine.optim import OptimWrapper
from tiny import SR4IR, TASKS, build_model, make_batch
from torch import nn

from sr4ir_mm.engine import PhaseUpdate
from sr4ir_mm.models.phase import Part, Phase

MODULES = 'sr4ir_mm.models'
MOBILENET = dict(
    type='sr4ir_mm.TorchvisionMobileNetV3',
    out_indices=(1, 3),
    frozen_norm=True,
)


def without_layout(monkeypatch):
    module = sys.modules[f'{MODULES}.sr_task_model']
    monkeypatch.setattr(
        module, 'arrange_channels', lambda network: torch.contiguous_format
    )


def without_merged_convolutions(monkeypatch):
    from mmagic.models.editors.edsr import EDSRNet

    module = sys.modules[f'{MODULES}.sr_nets.edsr']
    monkeypatch.setattr(module.EDSRNet, 'forward', EDSRNet.forward)


def without_folded_norms(monkeypatch):
    module = sys.modules[f'{MODULES}.torchvision_mobilenet_v3']
    monkeypatch.setattr(
        module.ConvFrozenNorm, 'forward', nn.Sequential.forward
    )


def without_parts(monkeypatch):
    def parts(self, views, progress):
        active = [loss for loss in self.losses if progress in loss.span]
        return [Part(self, active, views)]

    monkeypatch.setattr(Phase, 'parts', parts)


def with_micro_batches(monkeypatch):
    # which a CPU makes of larger images
    def images_at_once(self, views):
        return 1 if self.splits_batch else len(views.inputs)

    monkeypatch.setattr(Phase, '_images_at_once', images_at_once)


OPTIMISATIONS = [
    without_layout,
    without_merged_convolutions,
    without_folded_norms,
    without_parts,
    with_micro_batches,
]


def train(task, folded_norms):
    """Weights after five iterations of both phases."""
    task_model = copy.deepcopy(TASKS[task]['model'])
    if folded_norms:
        task_model['backbone'] = MOBILENET
        channels = 24
        if task == 'det':
            task_model['neck']['in_channels'] = [16, channels]
        head = 'decode_head' if task == 'seg' else 'head'
        if task != 'det':
            task_model[head]['in_channels'] = channels
    model = build_model(task, phases=SR4IR, task_model=task_model).double()
    model.train()
    sr_net, network = model.sr_net, model.task_model
    wrappers = dict(
        sr_net=OptimWrapper(torch.optim.AdamW(sr_net.parameters(), lr=1e-3)),
        task_model=OptimWrapper(
            torch.optim.SGD(network.parameters(), lr=1e-2, momentum=0.9)
        ),
    )
    updates = [
        PhaseUpdate(phase, [wrappers[name] for name in phase.trains])
        for phase in model.phases
    ]
    for i in range(5):
        torch.manual_seed(i)
        sizes = [(32, 32), (30, 27)] if task == 'det' else None
        views = model.make_views(make_batch(task, sizes=sizes, seed=i))
        for update in updates:
            update(model, views, 0.5)
    return model.state_dict()


@lru_cache
def as_shipped(task, folded_norms):
    return train(task, folded_norms)


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('change', OPTIMISATIONS)
def test_same_weights(task, change, float64, monkeypatch):
    folded_norms = change is without_folded_norms
    torch.set_default_dtype(torch.float64)
    try:
        expected = as_shipped(task, folded_norms)
        change(monkeypatch)
        actual = train(task, folded_norms)
    finally:
        torch.set_default_dtype(torch.float32)
    start = build_model(task).state_dict()
    for key, value in actual.items():
        torch.testing.assert_close(
            value, expected[key], rtol=0, atol=1e-10, msg=key
        )
    if not folded_norms:
        assert any(
            (value.double() - actual[key]).abs().max() > 1e-4
            for key, value in start.items()
        )
