"""The few places where the released OpenMMLab packages, or their maintained
forks, do not run unchanged on today's NumPy and PyTorch.

Each entry names the breakage and the version that needs it; delete it when
the release that repairs it becomes the oldest that we support.
"""

import os
import sys
import traceback
from functools import partial, wraps
from importlib import import_module
from importlib.machinery import PathFinder, SourceFileLoader
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Iterable, List, Optional

# OpenMMLab's distributions, and the forks that own folders of the same name.
_FORKS = dict(
    mmengine='onedl-mmengine',
    mmcv='onedl-mmcv',
    mmsegmentation='onedl-mmsegmentation',
    mmdet='onedl-mmdetection',
    mmpretrain='onedl-mmpretrain',
)


def apply() -> None:
    """Repair what is imported already at once, and what will be when it is.
    Called once, on import; it imports nothing itself.

    Raises:
        ImportError: If there is more than one kind of OpenMMLab's packages.
    """
    _check_packages()
    sys.meta_path.insert(0, _UpstreamFinder)
    sys.meta_path.append(_NoEngine)
    for name in set(_REPAIRS) & set(sys.modules):
        _REPAIRS[name](sys.modules[name])
    _let_mmseg_count_flops()


def _installed(packages: Iterable[str]) -> List[str]:
    found = []
    for package in packages:
        try:
            distribution(package)  # of which nothing is read
            found.append(package)
        except PackageNotFoundError:
            pass
    return found


def _check_packages() -> None:
    """pip unpacks mmengine over onedl-mmengine, file by file, without a
    word; and a toolbox of one kind refuses mmcv of the other."""
    forks = _installed(_FORKS.values())
    others = _installed(_FORKS) if forks else []
    if others:
        upstream, ours = (
            ' '.join(f'{name}=={version(name)}' for name in names)
            for names in (others, forks)
        )
        raise ImportError(
            f'{upstream} of OpenMMLab and {ours}, which are forks of it, are '
            "in one environment, where they overwrite each other's files: "
            f'`pip uninstall -y {" ".join(others + forks)}`, then install one '
            'kind, as docs/en/get_started.md says under "By hand".'
        )


class _NoEngine:
    """Asked last, when no other finder has it. Who predicts from ONNX files
    does without."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname == 'mmengine':
            raise ModuleNotFoundError(
                'sr4ir_mm needs mmengine, which is not installed: `pip '
                "install 'sr4ir_mm[seg]'`, or [det] or [cls], brings it with "
                "a toolbox, `pip install 'sr4ir_mm[onedl-seg]'` the "
                'maintained fork of it.',
                name='mmengine',
            )


def _name_forks(utils: ModuleType) -> None:
    """onedl-mmengine 0.10.12 looks for ``mmseg::`` configs in a distribution
    called mmsegmentation."""
    if _installed(['onedl-mmengine']):
        for module, package in utils.MODULE2PACKAGE.items():
            package = _FORKS.get(package, package)
            utils.MODULE2PACKAGE[module] = package


def _print_no_debugging(logging: ModuleType) -> None:
    """mmengine prints what has no logger, whatever its level; and the forks
    (onedl-mmsegmentation 1.4.2, onedl-mmdetection 3.5.1, onedl-mmpretrain
    1.3.6) say for debugging, on import, that they lack what nobody needs."""
    print_log, info = logging.print_log, import_module('logging').INFO

    @wraps(print_log)
    def print_no_debugging(msg, logger=None, level=info) -> None:
        if logger is not None or level >= info:
            print_log(msg, logger, level)

    logging.print_log = print_no_debugging


def _restore_bool8(numpy: ModuleType) -> None:
    """``mmagic/utils/trans_utils.py`` (1.2.0) reads ``np.bool8``, which
    NumPy 2.0 removed.
    https://numpy.org/doc/stable/numpy_2_0_migration_guide.html
    """
    if not hasattr(numpy, 'bool8'):
        numpy.bool8 = numpy.bool_


def _end_workers_that_cannot_answer(queues: ModuleType) -> None:
    """A data loader's worker that cannot hand over a batch, since ``/dev/shm``
    is full, say, prints why, and PyTorch waits for it for ever. One that ends
    is an error.
    """

    def end(error: Exception, item: Any) -> None:
        traceback.print_exception(type(error), error, error.__traceback__)
        sys.stderr.flush()
        if import_module('multiprocessing').parent_process() is not None:
            os._exit(1)

    queues.Queue._on_queue_feeder_error = staticmethod(end)


def _align_gradients_of_gelu(functional: ModuleType) -> None:
    """PyTorch 2.1's GELU on CPUs (not 2.11's) takes any gradient for one of
    its input's memory layout if that is contiguous, so that what it passes on
    is wrong, and differs from run to run: DAT's does not train.
    """
    major, minor = sys.modules['torch'].__version__.split('.')[:2]
    if (int(major), int(minor)) >= (2, 11):
        return
    gelu = functional.gelu

    @wraps(gelu)
    def gelu_of_aligned(input, *args, **kwargs):
        output = gelu(input, *args, **kwargs)
        if output.requires_grad and output.device.type == 'cpu':
            output.register_hook(lambda gradient: gradient.contiguous())
        return output

    functional.gelu = gelu_of_aligned


def _let_mmseg_draw(visualizers: ModuleType) -> None:
    """mmseg 1.2.2's ``browse_dataset.py`` hands its visualizer an array whose
    memory layout OpenCV refuses to draw on; and to place a label, its
    visualizer makes Python lists of all pixels, for half a second an image.
    https://github.com/open-mmlab/mmsegmentation/issues/3405
    """
    np, visualizer = visualizers.np, visualizers.SegLocalVisualizer
    draw = visualizer._draw_sem_seg

    @wraps(draw)
    def draw_contiguous(self, image, *args, **kwargs):
        return draw(self, np.ascontiguousarray(image), *args, **kwargs)

    def find_middle(self, mask):
        """Of the first of the rows that have most of the mask."""
        row = (mask == 1).sum(axis=1).argmax()
        columns = np.flatnonzero(mask[row] == 1)
        return np.array([columns[len(columns) // 2], row])

    visualizer._draw_sem_seg = draw_contiguous
    visualizer._get_center_loc = find_middle


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


# Modules of mmagic 1.2.0 that are made for the diffusers of 2023.
_MADE_FOR_DIFFUSERS = (
    'mmagic.models.archs.attention_injection',
    *(
        f'mmagic.models.editors.{name}'
        for name in (
            'animatediff',
            'controlnet',
            'dreambooth',
            'fastcomposer',
            'stable_diffusion',
            'stable_diffusion_xl',
            'textual_inversion',
            'vico',
        )
    ),
)
_TOO_NEW = dict(diffusers='0.26', transformers='4.36')


def _is_older(package: str, limit: str) -> bool:
    from mmengine.utils import digit_version

    return digit_version(version(package)) < digit_version(limit)


class _UpstreamFinder:
    """Lets mmagic and mmpretrain be imported with the packages there are.

    To give anyone RDN, mmagic 1.2.0 imports what each of its models needs,
    such as diffusers and transformers of 2023. Here a module of mmagic that
    lacks a package, or has a later one, becomes a stand-in, which says so
    when it is used. mmpretrain 1.2.0 does without transformers, but not with
    a late one. No other package is touched.
    https://github.com/open-mmlab/mmagic/issues/2110
    """

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        mmagic = fullname.partition('.')[0] == 'mmagic'
        if not mmagic and fullname not in _REPAIRS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            kind = _MmagicLoader if fullname == 'mmagic' else _UpstreamLoader
            spec.loader = kind(fullname, spec.loader.path)
        return spec


class _MmagicLoader(SourceFileLoader):
    """mmagic 1.2.0 refuses mmcv 2.2 and later for their number alone:
    onedl-mmcv 2.3.6 has what it imports.
    """

    def exec_module(self, module: ModuleType) -> None:
        mmcv = import_module('mmcv')
        found, mmcv.__version__ = mmcv.__version__, '2.1.0'
        try:
            super().exec_module(module)
        finally:
            mmcv.__version__ = found


class _UpstreamLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        try:
            if module.__name__ in _MADE_FOR_DIFFUSERS:
                _require_old_diffusers()
            super().exec_module(module)
        except ImportError as error:
            package = (error.name or 'mmagic').split('.')[0]
            if package == 'mmagic' or not module.__name__.startswith('mmagic'):
                raise
            # without its frames, which would hold all that main() has
            error = error.with_traceback(None)
            module.__getattr__ = partial(_stand_in, error)
        if module.__name__ in _REPAIRS:
            _REPAIRS[module.__name__](module)


class _StandIn:
    """What takes the place of a class of mmagic that lacks a package."""

    error: ImportError

    def __new__(cls, *args, **kwargs):
        package = cls.error.name.split('.')[0]
        if package in _TOO_NEW:
            package = "'sr4ir_mm[mmagic-full]'"
        raise ImportError(
            f'mmagic.{cls.__name__} cannot be used: {cls.error}. '
            f'`pip install {package}` gets what it needs.'
        ) from cls.error


def _stand_in(error: ImportError, name: str) -> type:
    if name.startswith('__'):  # Python asks for these
        raise AttributeError(name)
    return type(name, (_StandIn,), dict(error=error))


def _register_stand_ins(registry: str, module: ModuleType) -> None:
    """So that a config's ``mmagic.DreamBooth`` says what it lacks."""
    registry = getattr(import_module('mmagic.registry'), registry)
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, _StandIn):
            registry.register_module(name, module=value)


def _require_old_diffusers() -> None:
    """Raise ImportError unless mmagic 1.2.0 works with what is installed."""
    for package, limit in _TOO_NEW.items():
        if find_spec(package) is None:
            raise ImportError(f'No module named {package!r}', name=package)
        if not _is_older(package, limit):
            raise ImportError(
                f'{package} is {version(package)}, and mmagic 1.2.0 needs '
                f'less than {limit}',
                name=package,
            )


def _skip_later_packages(setup_env: ModuleType) -> None:
    """mmagic registers all that diffusers has: let that be nothing."""
    nothing = ModuleType('diffusers')
    nothing.models = nothing.pipelines = nothing.schedulers = nothing
    try_import = setup_env.try_import

    @wraps(try_import)
    def try_old_import(name: str) -> Optional[ModuleType]:
        try:
            if name in _TOO_NEW:
                _require_old_diffusers()
            found = try_import(name)
        except ImportError:
            found = None
        return nothing if found is None and name == 'diffusers' else found

    setup_env.try_import = try_old_import


def _leave_out_multimodal(dependency: ModuleType) -> None:
    """transformers 4.56 removed what mmpretrain's language models import."""
    if dependency.WITH_MULTIMODAL:
        dependency.WITH_MULTIMODAL = _is_older('transformers', '4.56')


def _repair_by(home: str, name: str, module: ModuleType) -> None:
    """By a function of a module that is imported no earlier: mmdet 3.3.0, say,
    reads annotations by position, and passes over much."""
    getattr(import_module(f'sr4ir_mm.{home}'), name)(module)


def _load_safely(serialization: ModuleType) -> None:
    """By :func:`safe_load.load`; it is in the middle of PyTorch's import."""
    load = serialization.load

    @wraps(load)
    def load_safely(*args, **kwargs):
        from .utils.safe_load import load as safe_load

        return safe_load(load, *args, **kwargs)

    for module in (serialization, sys.modules['torch']):
        if getattr(module, 'load', load) is load:
            module.load = load_safely


def _unpickle_safely(pickle_handler: ModuleType) -> None:
    def load_from_fileobj(self, file, **kwargs) -> Any:
        from .utils.safe_load import load_pickle

        return load_pickle(file, **kwargs)

    pickle_handler.PickleHandler.load_from_fileobj = load_from_fileobj


def _read_yaml_safely(yaml_handler: ModuleType) -> None:
    """mmengine's loader calls what a file names."""
    yaml_handler.Loader = yaml_handler.yaml.FullLoader


_repair_reader = partial(partial, _repair_by, 'datasets.annotations')
_REPAIRS = {
    'numpy': _restore_bool8,
    'multiprocessing.queues': _end_workers_that_cannot_answer,
    'torch.nn.functional': _align_gradients_of_gelu,
    'torch.serialization': _load_safely,
    'mmengine.config.utils': _name_forks,
    'mmengine.logging': _print_no_debugging,
    'mmengine.fileio.handlers.pickle_handler': _unpickle_safely,
    'mmengine.fileio.handlers.yaml_handler': _read_yaml_safely,
    'mmengine.runner.checkpoint': partial(
        _repair_by, 'utils.safe_load', 'repair_checkpoints'
    ),
    'mmseg.visualization.local_visualizer': _let_mmseg_draw,
    'mmdet.datasets.api_wrappers.coco_api': _repair_reader('repair_coco_api'),
    'mmdet.datasets.coco': _repair_reader('repair_coco_dataset'),
    'mmdet.datasets.xml_style': _repair_reader('repair_xml_dataset'),
    'mmagic.datasets.transforms': partial(_register_stand_ins, 'TRANSFORMS'),
    'mmagic.models.editors': partial(_register_stand_ins, 'MODELS'),
    'mmagic.utils.setup_env': _skip_later_packages,
    'mmpretrain.utils.dependency': _leave_out_multimodal,
}
