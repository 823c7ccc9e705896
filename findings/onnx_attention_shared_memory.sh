#!/usr/bin/env bash
# An exported nn.MultiheadAttention keeps to the length of its example where
# key and value are the same tensor, though its axis was declared dynamic.
#
# Attention over fewer positions than it has queries (SegFormer, PVT, Perceiver:
# `attention(x, memory, memory)`) takes another way through
# torch.nn.functional than attention over three tensors: one that splits keys
# and values by `unflatten`, which the exporter by tracing (`dynamo=False`,
# what OpenMMLab's tools and most of the web use) writes into the file as a
# number. The export says nothing, and the file agrees with PyTorch on the
# example; onnxruntime refuses any other length at a Reshape. With
# `memory.clone()` as value, which is the same mathematics, every length goes.
# Seen with torch 2.11.0, onnx 1.23.2 and onnxruntime 1.23.2, 2026-11-28. What
# one would expect: the same file for the same attention, or a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.11.0 onnx==1.23.2 \
    onnxruntime==1.23.2 'numpy<3'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io

import onnxruntime
import torch

onnxruntime.set_default_logger_severity(4)  # the refusals are printed below


class ReducedAttention(torch.nn.Module):
    """Queries of all positions, keys and values of every second one."""

    def __init__(self, copy):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.copy = copy

    def forward(self, x):
        memory = x[:, ::2]
        value = memory.clone() if self.copy else memory
        return self.attention(x, memory, value, need_weights=False)[0]


results = {}
for copy in (False, True):
    torch.manual_seed(0)
    model, file = ReducedAttention(copy).eval(), io.BytesIO()
    torch.onnx.export(
        model,
        (torch.randn(1, 16, 8),),
        file,
        input_names=['x'],
        output_names=['y'],
        dynamic_axes=dict(x={1: 'length'}, y={1: 'length'}),
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(file.getvalue())
    declared = session.get_inputs()[0].shape
    for length in (16, 12, 32):
        x = torch.randn(1, length, 8)
        try:
            (y,) = session.run(None, dict(x=x.numpy()))
        except Exception as error:
            result = f'refused at {str(error).split("Name:")[1].split()[0]}'
        else:
            same = torch.allclose(torch.from_numpy(y), model(x), atol=1e-5)
            result = 'as PyTorch' if same else 'differs'
        what = 'a copy of it' if copy else 'the same tensor'
        print(f'input {declared}; value is {what}; {length}: {result}')
        results[copy, length] = result

assert results[False, 16] == 'as PyTorch', results
assert 'Reshape' in results[False, 12], results
assert 'Reshape' in results[False, 32], results
assert all(results[True, n] == 'as PyTorch' for n in (16, 12, 32)), results
PYTHON
# Output seen:
# input [1, 'length', 8]; value is the same tensor; 16: as PyTorch
# input [1, 'length', 8]; value is the same tensor; 12: refused at '/attention/Reshape_4'
# input [1, 'length', 8]; value is the same tensor; 32: refused at '/attention/Reshape_4'
# input [1, 'length', 8]; value is a copy of it; 16: as PyTorch
# input [1, 'length', 8]; value is a copy of it; 12: as PyTorch
# input [1, 'length', 8]; value is a copy of it; 32: as PyTorch
