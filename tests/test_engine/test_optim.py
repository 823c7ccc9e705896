import copy
import sys

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn

from sr4ir_mm.engine import JointOptimWrapper


def networks(device='cpu'):
    torch.manual_seed(0)
    return nn.Linear(3, 3).to(device), nn.Linear(3, 3).to(device)


def wrap(network, cls=OptimWrapper, **kwargs):
    return cls(
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1), **kwargs
    )


def loss_of(first, second):
    x = torch.ones(2, 3, device=first.weight.device)
    return second(first(x)).square().sum()


def test_one_backward_pass_steps_every_network():
    pair = networks()
    expected = copy.deepcopy(pair)
    loss_of(*expected).backward()
    JointOptimWrapper([wrap(n) for n in pair]).update_params(loss_of(*pair))
    for network, reference in zip(pair, expected):
        torch.testing.assert_close(
            network.weight, reference.weight - 0.1 * reference.weight.grad
        )
        assert network.weight.grad is None


def test_each_network_is_clipped_by_itself():
    pair = networks()
    before = copy.deepcopy(pair)
    first = wrap(pair[0], clip_grad=dict(max_norm=0.01))
    second = wrap(pair[1])
    JointOptimWrapper([first, second]).update_params(loss_of(*pair))
    step = [
        nn.utils.parameters_to_vector(network.parameters()).detach()
        - nn.utils.parameters_to_vector(old.parameters()).detach()
        for network, old in zip(pair, before)
    ]
    assert step[0].norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert step[1].norm() > 0.1


def test_accumulation():
    pair = networks()
    before = copy.deepcopy(pair)
    joint = JointOptimWrapper([wrap(n, accumulative_counts=2) for n in pair])
    joint.update_params(loss_of(*pair))
    assert torch.equal(pair[0].weight, before[0].weight)
    joint.update_params(loss_of(*pair))
    loss_of(*before).backward()
    torch.testing.assert_close(
        pair[0].weight, before[0].weight - 0.1 * before[0].weight.grad
    )


def test_wrappers_must_agree():
    first, second = networks()
    with pytest.raises(ValueError, match='same `type` and `accumulative'):
        JointOptimWrapper([wrap(first, accumulative_counts=2), wrap(second)])


@pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'), reason='PyTorch has none for CPUs'
)
def test_mixed_precision_with_a_network_that_no_loss_reaches(monkeypatch):
    module = sys.modules['mmengine.optim.optimizer.amp_optimizer_wrapper']
    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    first, second = networks()
    weights = [first.weight.clone(), second.weight.clone()]
    pair = [wrap(first, AmpOptimWrapper), wrap(second, AmpOptimWrapper)]
    for wrapper in pair:
        wrapper.loss_scaler = torch.amp.GradScaler('cpu')
    JointOptimWrapper(pair).update_params(first(torch.ones(2, 3)).sum())
    assert not torch.equal(first.weight, weights[0])
    assert torch.equal(second.weight, weights[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_mixed_precision_scales_once():
    pair = networks('cuda')
    expected = copy.deepcopy(pair)
    loss_of(*expected).backward()
    joint = JointOptimWrapper([wrap(n, AmpOptimWrapper) for n in pair])
    with joint.optim_context(nn.Module()):
        loss = loss_of(*pair)
    joint.update_params(loss)
    for network, reference in zip(pair, expected):
        torch.testing.assert_close(
            network.weight,
            reference.weight - 0.1 * reference.weight.grad,
            rtol=1e-2,
            atol=1e-2,
        )
