"""The few places where the released OpenMMLab packages do not run unchanged
on today's NumPy and PyTorch.

Each entry names the breakage and the version that needs it; delete it when
the release that repairs it becomes the oldest that we support.
"""

import sys
from functools import wraps

import numpy as np

from . import safe_load


def apply() -> None:
    """Apply every compatibility fix. Called once, on import."""
    _restore_numpy_bool8()
    safe_load.install()
    _let_mmseg_browse_data()
    _let_mmseg_count_flops()


def _restore_numpy_bool8() -> None:
    """``mmagic/utils/trans_utils.py`` (1.2.0) reads ``np.bool8``, which
    NumPy 2.0 removed.
    https://numpy.org/doc/stable/numpy_2_0_migration_guide.html
    """
    if not hasattr(np, 'bool8'):
        np.bool8 = np.bool_


def _let_mmseg_browse_data() -> None:
    """mmseg 1.2.2's ``browse_dataset.py`` hands its visualizer an array whose
    memory layout OpenCV refuses to draw on.
    https://github.com/open-mmlab/mmsegmentation/issues/3405
    """
    if 'mmseg' not in sys.modules:  # then this is no script of mmseg's
        return
    from mmseg.visualization import SegLocalVisualizer

    draw = SegLocalVisualizer._draw_sem_seg

    @wraps(draw)
    def draw_contiguous(self, image, *args, **kwargs):
        return draw(self, np.ascontiguousarray(image), *args, **kwargs)

    SegLocalVisualizer._draw_sem_seg = draw_contiguous


def _let_mmseg_count_flops() -> None:
    """mmseg 1.2.2's ``get_flops.py`` gives mmengine both an input and its
    shape, which mmengine >= 0.7 refuses.
    https://github.com/open-mmlab/mmsegmentation/issues/3241
    """
    script = sys.modules['__main__']
    count = getattr(script, 'get_model_complexity_info', None)
    if count is None or 'mmseg' not in sys.modules:
        return

    @wraps(count)
    def count_given_inputs(model, input_shape=None, inputs=None, **kwargs):
        shape = input_shape if inputs is None else None
        return count(model, shape, inputs=inputs, **kwargs)

    script.get_model_complexity_info = count_given_inputs
