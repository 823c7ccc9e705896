#!/usr/bin/env bash
# Two networks of spandrel that predict as they should and are not what they
# seem when one trains through them.
#
# PLKSR gives gradients in train mode, and an error of autograd in eval mode:
# there it writes the result of its large convolution into the input of this
# convolution, which backward needs. So whoever looks through a frozen PLKSR
# in eval mode (a perceptual loss behind it, a saliency map, an adversarial
# image) is stopped, though nothing in eval mode is random.
#
# RCAN's layers that subtract and add the mean of DIV2K say requires_grad ==
# False, and train all the same: the flag is set on the module, where it means
# nothing, not on its parameters. One step of Adam moves the mean and the
# identity beside it.
# Seen with spandrel 0.4.2 and torch 2.11.0, CPU, 2026-11-28. What one would
# expect: gradients in either mode, and constants that stay constant.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.11.0 torchvision==0.26.0 \
    spandrel==0.4.2 'numpy<3'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from spandrel.architectures.PLKSR import PLKSR
from spandrel.architectures.RCAN import RCAN

torch.manual_seed(0)
network = PLKSR(dim=8, n_blocks=1, upscaling_factor=2)
image = torch.rand(1, 3, 16, 16)
outputs, results = [], {}
for mode in ('train', 'eval'):
    network.train(mode == 'train')
    seen = image.clone().requires_grad_()
    output = network(seen)
    outputs.append(output.detach())
    try:
        output.mean().backward()
        results[mode] = 'gradients'
    except RuntimeError as error:
        results[mode] = 'error: ' + str(error).split(':')[0][-42:]
    print(f'PLKSR, {mode}: {results[mode]}')
torch.testing.assert_close(*outputs)  # the modes compute the same
assert results['train'] == 'gradients'
assert 'modified by an inplace operation' in results['eval']

network = RCAN(n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4, scale=2)
layer = network.sub_mean
before = {name: p.detach().clone() for name, p in layer.named_parameters()}
optimizer = torch.optim.Adam(
    (p for p in network.parameters() if p.requires_grad), lr=1e-2
)
network(image.clone()).mean().backward()
optimizer.step()
moved = {
    name: float((p.detach() - before[name]).abs().max())
    for name, p in layer.named_parameters()
}
print(f'RCAN, sub_mean.requires_grad: {layer.requires_grad}; moved by', end=' ')
print(', '.join(f'{name} {value:.3f}' for name, value in moved.items()))
assert layer.requires_grad is False
assert all(value > 1e-3 for value in moved.values())
PYTHON
# Output seen:
# PLKSR, train: gradients
# PLKSR, eval: error: has been modified by an inplace operation
# RCAN, sub_mean.requires_grad: False; moved by weight 0.010, bias 0.010
