#!/usr/bin/env bash
# PyTorch 2.1's GELU on a CPU returns a wrong gradient where its input is
# contiguous and the gradient that reaches it is not.
#
# This is an everyday pair: features of (N, length, channels), and behind the
# activation something that transposes them, as in networks that mix attention
# and convolutions. The result has the right shape; some of its values are of
# any size (1.3 as well as 1e36 was seen), others in each run. A small
# super-resolution network (DAT) had a loss of NaN after its first step.
# With both in the same layout, or the input transposed instead, all is well;
# so it is in double precision, and in torch 2.11.0 and 2.14.1.
# Seen with torch 2.1.2 on x86-64, one thread, 2026-11-29. What one would
# expect: what double precision gives, up to rounding. The way out: make the
# gradient contiguous by a hook on GELU's output.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.1.2 'numpy<2'
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch.nn.functional import gelu

torch.set_num_threads(1)


def transposed(tensor):
    return tensor.transpose(1, 2).contiguous().transpose(1, 2)


def gradient(x, outer):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(gelu(x), x, outer)[0].double()


def largest_error(input_layout, gradient_layout, contiguous=False):
    errors = []
    for seed in range(50):
        torch.manual_seed(seed)
        x = input_layout(torch.randn(2, 16, 64))
        outer = gradient_layout(torch.randn(2, 16, 64))
        expected = gradient(x.double(), outer.double())
        if contiguous:
            outer = outer.contiguous()
        errors.append((gradient(x, outer) - expected).abs().max().item())
    return max(errors)


same = torch.Tensor.contiguous
right = {
    'both contiguous': largest_error(same, same),
    'both transposed': largest_error(transposed, transposed),
    'input transposed': largest_error(transposed, same),
    'gradient made contiguous': largest_error(same, transposed, True),
}
wrong = largest_error(same, transposed)
for name, error in right.items():
    print(f'{name}: within 1e-5: {error < 1e-5}')
    assert error < 1e-5, (name, error)
print(f'gradient transposed: off by more than 0.01: {not wrong < 0.01}')
assert not wrong < 0.01, wrong
PYTHON
# Output seen:
# both contiguous: within 1e-5: True
# both transposed: within 1e-5: True
# input transposed: within 1e-5: True
# gradient made contiguous: within 1e-5: True
# gradient transposed: off by more than 0.01: True
