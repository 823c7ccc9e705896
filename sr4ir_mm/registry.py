"""Registries of sr4ir_mm.

Each is a child of the mmengine registry of the same name and imports what it
holds when something is first looked up in it. So
``type='sr4ir_mm.SRSegmentor'`` works in any config and any default scope.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Optional

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry


class _LazyRegistry(Registry):
    """Of a package that imports some of its classes no earlier than one asks
    for them."""

    def get(self, key: str) -> Any:
        """See mmengine."""
        package = import_module(*self._locations)
        getattr(package, key.rpartition('.')[2], None)
        return super().get(key)


LOOPS = Registry('loop', parent=MMENGINE_LOOPS, locations=['sr4ir_mm.engine'])
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    locations=['sr4ir_mm.engine'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    locations=['sr4ir_mm.engine'],
)
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, locations=['sr4ir_mm.engine'])
RUNNERS = Registry(
    'runner', parent=MMENGINE_RUNNERS, locations=['sr4ir_mm.engine']
)
MODELS = _LazyRegistry(
    'model', parent=MMENGINE_MODELS, locations=['sr4ir_mm.models']
)
TASK_UTILS = _LazyRegistry(
    'task util', parent=MMENGINE_TASK_UTILS, locations=['sr4ir_mm.models']
)
DATASETS = _LazyRegistry(
    'dataset', parent=MMENGINE_DATASETS, locations=['sr4ir_mm.datasets']
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    locations=['sr4ir_mm.datasets'],
)
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, locations=['sr4ir_mm.datasets']
)
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, locations=['sr4ir_mm.evaluation']
)


def require_package(
    module: str, what: str, package: Optional[str] = None
) -> None:
    """Raise ImportError saying what to install for ``what``.

    Args:
        module (str): What it imports.
        what (str): What needs it.
        package (str, optional): What to install. Defaults to the toolbox that
            has the module, or the module's name.
    """
    if find_spec(module) is None:
        package = package or MODULE2PACKAGE.get(module, module)
        # mmagic declares what does not go together
        options = '--no-deps ' if package == 'mmagic' else ''
        raise ImportError(
            f'{what} needs {package}, which is not installed: `pip install '
            f'{options}{package}` (see docs/en/get_started.md for versions).'
        )
