"""Prediction from a file of ``sr4ir export``, with neither PyTorch nor
OpenMMLab.

The file's metadata, as JSON: see :func:`collect_facts`.
"""

import json
import os.path as osp
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from sr4ir_mm.utils.bands import PICTURES, read_bands
from sr4ir_mm.utils.mistakes import explain

from .inferencer import Inferencer
from .plain import plain_boxes, plain_classes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Of the metadata, and of what outputs mean.
FORMAT = 1
FACTS = (
    *('format', 'toolbox', 'scale', 'view', 'classes', 'palette'),
    *('several_labels', 'bands', 'loader'),
)
DEVICES = dict(cpu='CPUExecutionProvider', cuda='CUDAExecutionProvider')


class OnnxInferencer(Inferencer):
    """By the networks of an ONNX file, in onnxruntime.

    Args:
        weights (str): FILE.onnx of ``sr4ir export``, with both networks and,
            of a segmentor, labels.
        device (str, optional): ``cpu`` or ``cuda``. Defaults to the GPU, if
            onnxruntime finds one.
        show_progress (bool): Whether to show a progress bar.
            Defaults to True.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another kind of file.
    """

    def __init__(
        self,
        weights: str,
        device: Optional[str] = None,
        show_progress: bool = True,
    ) -> None:
        super().__init__(weights, show_progress)
        self.session = _open(weights, device)
        self.outputs = [one.name for one in self.session.get_outputs()]
        self.dataset_meta = self.facts = self._read_facts()
        self.view = self.facts['view']
        self.toolbox, self.scale = self.facts['toolbox'], self.facts['scale']
        if self.facts['bands'] is not None:
            self.bands = read_bands(self.facts['bands'])
        self.reads_rasters = self.facts['loader'] is not None
        self.loader = self.facts['loader'] or {}
        *_, height, width = self.session.get_inputs()[0].shape
        if isinstance(height, int):
            self.size = (height, width)

    def _read_facts(self) -> Dict[str, Any]:
        props = self.session.get_modelmeta().custom_metadata_map
        found = props.get('format')
        if found != str(FORMAT):
            raise ValueError(
                f'{self.weights} has no metadata that this release of '
                f'sr4ir_mm knows (format={found}, expected {FORMAT}): export '
                'it anew (sr4ir export).'
            )
        try:  # of other keys, which tools write, nothing is known
            facts = {key: json.loads(props[key]) for key in FACTS}
        except (KeyError, ValueError) as error:
            raise ValueError(
                f'{self.weights} has damaged metadata ({error!r}): export it '
                'anew (sr4ir export).'
            ) from error
        if self.outputs == ['sr']:
            raise ValueError(
                f'{self.weights} has the SR network alone: export it with '
                '--network both.'
            )
        if facts['toolbox'] == 'mmseg' and 'labels' not in self.outputs:
            raise ValueError(
                f'{self.weights} gives probabilities in place of labels: '
                'export it without --scores.'
            )
        return facts

    def _check(
        self, hr: bool, coordinates: str, show: bool, return_datasamples: bool
    ) -> None:
        super()._check(hr, coordinates, show, return_datasamples)
        if hr:
            raise ValueError(
                f'hr=True (--hr): {self.weights} takes LR images as they are; '
                'to degrade images, predict from the checkpoint.'
            )
        if return_datasamples:
            raise ValueError(
                f'return_datasamples=True: {self.weights} is run without the '
                'toolbox, whose data samples come from the checkpoint.'
            )

    def _pack(self, pixels: np.ndarray, name: str, hr: bool) -> dict:
        size = pixels.shape[:2]
        if self.size not in (None, size):
            raise ValueError(
                '{} x {} pixels, where {} takes {} x {} alone (another: '
                'sr4ir export --size)'.format(*size, self.weights, *self.size)
            )
        return dict(inputs=self.as_exported(pixels))

    def _predict(self, items: List[dict]) -> List[Dict[str, np.ndarray]]:
        """
        Returns:
            list[dict]: What the file gives for each image, and ``lr``, (C, h,
            w): RGB, uint8, or other bands, float32, of the file's values.
        """
        if self.size is not None and len(items) > 1:
            return [found for one in items for found in self._predict([one])]
        images = np.stack([item['inputs'] for item in items])
        outputs = self.session.run(None, dict(images=images))
        named = dict(zip(self.outputs, outputs), lr=images)
        if 'boxes' in named:  # of one image, without an axis for it
            return [dict(named, lr=images[0], sr=named['sr'][0])]
        return [
            {name: values[index] for name, values in named.items()}
            for index in range(len(images))
        ]

    def _pictures(
        self, found: Dict[str, np.ndarray]
    ) -> Tuple[np.ndarray, np.ndarray]:
        bands = self.bands or PICTURES
        lr, sr = found['lr'], _to_uint8(bands.look(found['sr']))
        if not bands.are_pictures:
            lr = _to_uint8(bands.look(bands.to_unit(lr)))
        return tuple(
            np.ascontiguousarray(image.transpose(1, 2, 0))
            for image in (lr, sr)
        )

    def _sr_image(self, found: Dict[str, np.ndarray]) -> np.ndarray:
        return found['sr']

    def _to_plain(
        self, found: Dict[str, np.ndarray], coordinates: str
    ) -> Union[np.ndarray, dict]:
        classes = self.facts['classes']
        if 'lr_labels' in found:
            return found['labels' if coordinates == 'sr' else 'lr_labels']
        scores = found['scores']
        if 'boxes' in found:
            factor = self.scale if coordinates == 'sr' else 1
            return plain_boxes(
                (found['boxes'] * factor).tolist(),
                scores.tolist(),
                found['labels'].tolist(),
                classes,
            )
        several = self.facts['several_labels']
        if several is None:
            labels = [int(scores.argmax())]
        elif several['thr'] is not None:
            labels = np.flatnonzero(scores >= several['thr']).tolist()
        else:
            labels = (-scores).argsort(kind='stable').tolist()
            labels = labels[: several['topk']]
        return plain_classes(scores, labels, several is not None, classes)

    def _explain(self, error: Exception) -> str:
        return explain(error)


def _to_uint8(image: np.ndarray) -> np.ndarray:
    """Around [0, 1] -> 8-bit levels."""
    return np.rint(image * 255).clip(0, 255).astype(np.uint8)


def _open(path: str, device: Optional[str]) -> 'InferenceSession':
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no ONNX file {path!r}.')
    try:
        import onnxruntime
    except ImportError:
        raise ImportError(
            'Prediction from an ONNX file needs onnxruntime, which is not '
            'installed: `pip install onnxruntime`.'
        ) from None
    available = onnxruntime.get_available_providers()
    there = [name for name in DEVICES if DEVICES[name] in available]
    wanted = there[-1] if device is None else device
    if wanted not in there:
        raise ValueError(
            f'device={device!r}: this onnxruntime has {", ".join(there)}.'
        )
    providers = [DEVICES[name] for name in {wanted: 0, 'cpu': 0}]
    try:
        session = start_session(path, providers)
    except Exception as error:  # onnxruntime's have no common base
        raise ValueError(
            f'{path!r} is no ONNX file that onnxruntime can read: {error}'
        ) from error
    if device == 'cuda' and DEVICES['cuda'] not in session.get_providers():
        raise ValueError(
            "device='cuda': onnxruntime finds no GPU, or not its libraries."
        )
    return session


def start_session(
    path: str,
    providers: Sequence[str] = (DEVICES['cpu'],),
    threads: int = 0,
) -> 'InferenceSession':
    """onnxruntime with an ONNX file, as wherever this package runs one.

    Args:
        path (str): The file.
        providers (Sequence[str]): Names by which onnxruntime knows devices.
            Defaults to the CPU alone.
        threads (int): Of an operator. Defaults to 0: one for each core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is in its errors
    # its threads would wait by computing, beside those that read and write
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(path, options, list(providers))
