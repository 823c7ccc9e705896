#!/usr/bin/env bash
# `torch.onnx.export(dynamo=True)` takes `torch.export.Dim` for a wish: an axis
# that the model's code cannot leave free has the example's length in the file,
# without an error or a warning.
#
# `torch.export.export`, given the same `dynamic_shapes`, refuses ("Constraints
# violated"). The exporter makes `Dim.AUTO` of every `Dim` before it calls it.
# So a model with `if x.shape[-1] == 16` or `int(x.shape[0])` in it becomes a
# file for one size that looks as asked for, until somebody has another image.
# Axes that are named by strings are held to: what cannot be free is an error.
# Seen with torch 2.14.1, onnx 1.23.2 and onnxscript 0.7.2, 2026-11-28. What one
# would expect: the error of `torch.export.export`, for both ways to name axes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 onnx==1.23.2 \
    onnxscript==0.7.2 'numpy<3'
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import onnx
import torch


class ByWidth(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[-1] == 16 else x * 3


def refused(kind, export, *args, **kwargs):
    try:
        export(*args, **kwargs)
    except Exception as error:
        text = str(error)
        assert 'Constraints violated' in text or 'torch.export' in text, text
        print(f'{kind}: {type(error).__name__}')
        return True
    return False


model, example = ByWidth(), (torch.rand(2, 3, 12, 16),)
Dim = torch.export.Dim
dims = ({0: Dim('n'), 2: Dim('h'), 3: Dim('w')},)
names = ({0: 'n', 2: 'h', 3: 'w'},)


def to_onnx(shapes):
    torch.onnx.export(
        model,
        example,
        'model.onnx',
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
    )
    value = onnx.load('model.onnx').graph.input[0].type.tensor_type
    return [axis.dim_param or axis.dim_value for axis in value.shape.dim]


export = torch.export.export
assert refused(
    'torch.export, Dim', export, model, example, dynamic_shapes=dims
)
found = to_onnx(dims)
print(f'torch.onnx, Dim: {found}')
assert found == ['n', 3, 'h', 16], found
assert refused('torch.onnx, names', to_onnx, names)
PYTHON
# Output seen:
# torch.export, Dim: UserError
# torch.onnx, Dim: ['n', 3, 'h', 16]
# torch.onnx, names: TorchExportError
