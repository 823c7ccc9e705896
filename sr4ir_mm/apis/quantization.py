"""The SR network of an ONNX file in 8 bits, by onnxruntime's own tools."""

import os.path as osp
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Dict, Iterable, Optional, Set

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto


def quantize_sr_net(path: str, images: Iterable[np.ndarray]) -> None:
    """Have the SR network of an ONNX file compute in int8, its weights by
    channel. The task network stays as it is: in 8 bits it may lose many
    predictions (docs/en/performance.md).

    Args:
        path (str): The file, of :func:`export_onnx`; it is changed.
        images (Iterable[np.ndarray]): LR images, which tell the range of each
            feature map: RGB, uint8, (N, 3, h, w).

    Raises:
        ValueError: If nothing in the file makes SR images by convolutions.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        prepared = osp.join(folder, 'prepared.onnx')
        # its symbolic shapes end at sizes that are computed
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        inside = _nodes_behind(graph, 'sr')
        kinds = {node.op_type for node in graph.node if node.name in inside}
        if 'Conv' not in kinds:
            raise ValueError(
                'There is no SR network with convolutions, which int8 is for.'
            )
        quantize_static(
            prepared,
            path,
            _Feeds(images),
            per_channel=True,
            activation_type=QuantType.QUInt8,  # with int8: VNNI's product
            nodes_to_exclude=[
                node.name for node in graph.node if node.name not in inside
            ],
        )


class _Feeds:
    """As onnxruntime's ``CalibrationDataReader``."""

    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self._images = iter(images)

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        """None behind the last."""
        images = next(self._images, None)
        return None if images is None else dict(images=images)


def _nodes_behind(graph: 'GraphProto', output: str) -> Set[str]:
    """Names of the nodes that an output comes from."""
    makers = {name: node for node in graph.node for name in node.output}
    names, found = [output], set()
    while names:
        node = makers.get(names.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            names.extend(node.input)
    return found
