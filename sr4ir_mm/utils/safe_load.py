"""Files of strangers are read, never run.

A pickle may call whatever it likes while it is read; checkpoints, ``*.pkl``
and YAML files are built on such formats. Here they may make data only: what
is in the allow-list, or what ``SR4IR_TRUST`` names.
"""

import io
import json
import os
import os.path as osp
import pickle
import re
import sys
from errno import EINVAL
from functools import lru_cache
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, Iterator, Optional
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.utils import digit_version
from safetensors import safe_open

from sr4ir_mm.model_zoo import find_checkpoint, suggest_models

# Parts of a checkpoint that are no weights.
_NO_WEIGHTS = ('optimizer', 'param_schedulers', 'message_hub', 'meta')

# What safetensors' metadata has of a checkpoint's, as JSON.
META = ('dataset_meta', 'scale')

# Of Python's own, what a training may have written; all else runs things.
_HARMLESS = (
    'argparse.Namespace builtins.object collections.deque '
    'collections.UserDict copyreg._reconstructor datetime.date '
    'datetime.datetime datetime.time datetime.timedelta datetime.timezone '
    'decimal.Decimal fractions.Fraction functools.partial pathlib.Path '
    'pathlib.PosixPath pathlib.PurePosixPath pathlib.WindowsPath '
    'pathlib.PureWindowsPath types.SimpleNamespace uuid.UUID'
).split()
# Python 3.10 knows its own.
_SYSTEM = getattr(
    sys,
    'stdlib_module_names',
    'argparse asyncio builtins code codeop collections concurrent copyreg '
    'ctypes datetime functools http importlib io logging marshal '
    'multiprocessing nt operator os pathlib pickle posix pty runpy shutil '
    'socket subprocess sys tempfile threading types urllib uuid webbrowser '
    '_io'.split(),
)

# Environment variable: what else a file may name, `module.Class` with commas.
TRUST = 'SR4IR_TRUST'


class UnreadableFileError(OSError):
    """A file that is damaged, or holds what could run code."""


def repair_checkpoints(checkpoint: ModuleType) -> None:
    """Let mmengine's loader read by the functions below.

    Args:
        checkpoint (ModuleType): ``mmengine.runner.checkpoint``.
    """
    checkpoint.CheckpointLoader.register_scheme(
        '', load_from_local, force=True
    )
    checkpoint.load_url = _load_url
    # onedl-mmengine's allows `getattr`, and what is refused still, it reads
    # unsafely; mmengine's reads by `torch.load`
    checkpoint._safe_torch_load = torch.load


def load(
    torch_load: Callable,
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: Optional[bool] = None,
    **kwargs,
) -> Any:
    """Refuse what could run code, as ``torch.load`` does since PyTorch 2.6,
    unless its caller says otherwise; but let mmengine's checkpoints pass.

    Args:
        torch_load (Callable): PyTorch's own.
        f: See :func:`torch.load`, as the others.
    """
    if digit_version(torch.__version__) >= digit_version('2.6'):
        _allow_globals()
    else:  # whose safe mode knows no allow-list
        if weights_only is None and pickle_module is None:
            pickle_module = SimpleNamespace(
                **{
                    **vars(pickle),
                    'Unpickler': _SafeUnpickler,
                    'load': _load,
                }
            )
        weights_only = bool(weights_only)
    return torch_load(
        f, map_location, pickle_module, weights_only=weights_only, **kwargs
    )


@lru_cache(maxsize=None)
def _allow_globals() -> None:
    names = {**_mmengine_globals(), **_trusted_globals()}
    torch.serialization.add_safe_globals(
        [(found, name) for name, found in names.items()]
    )


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint file; takes the place of mmengine's function.

    Args:
        filename (str): Its path, ``*.safetensors`` or what ``torch.save`` has
            written, or the name of a model of the zoo.
        map_location: See :func:`torch.load`.

    Raises:
        FileNotFoundError: If there is none.
        UnreadableFileError: If it is damaged, or not safe.
    """
    filename = find_checkpoint(osp.expanduser(filename))
    if not osp.isfile(filename):
        raise FileNotFoundError(
            f'{filename} can not be found.{suggest_models(filename)}'
        )
    try:
        if filename.endswith('.safetensors'):
            content = _read_safetensors(filename)
        else:
            content = torch.load(filename, map_location=map_location)
    except ImportError as error:
        raise UnreadableFileError(
            f'{filename} cannot be read: {error}. Install what it needs.'
        ) from error
    except Exception as error:
        ours = isinstance(error, OSError) and error.errno != EINVAL
        ours |= 'CUDA' in str(error) or str(error).startswith(TRUST)
        if ours or isinstance(error, MemoryError):
            raise  # of this machine, not of the file
        raise UnreadableFileError(
            f'{filename} is refused: {_refusal(error)}'
            if _refusal(error)
            else f'{filename} ({osp.getsize(filename)} bytes) is damaged, cut '
            'off, or no checkpoint.'
        ) from error
    spoilt = list(_not_a_number(content)) if isinstance(content, dict) else []
    if spoilt:
        raise UnreadableFileError(
            f'{filename} is refused: {len(spoilt)} tensors of its weights are '
            f'NaN, first {spoilt[0]}. Take a checkpoint from before the '
            'training that made it went wrong.'
        )
    return content


def _read_safetensors(filename: str) -> dict:
    """As mmengine's checkpoints are, if it is one of
    :func:`~sr4ir_mm.apis.deployment.save_weights`; on the CPU, since loading
    copies weights to where they belong."""
    with safe_open(filename, 'pt') as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}
        found = file.metadata() or {}
    meta = {key: json.loads(found[key]) for key in META if key in found}
    if 'config' in found:
        meta['cfg'] = found['config']
    return dict(state_dict=weights, meta=meta)


def _not_a_number(weights: dict, path: str = '') -> Iterator[str]:
    """Names of the weights that hold NaN, whatever they are wrapped in."""
    for name, value in weights.items():
        if name in _NO_WEIGHTS:
            continue
        if isinstance(value, dict):
            yield from _not_a_number(value, f'{path}{name}.')
        elif torch.is_tensor(value) and value.is_floating_point():
            if value.isnan().any():
                yield f'{path}{name}'


def _refusal(error: Exception) -> Optional[str]:
    """What an error of an unpickler says about what it has not called."""
    found = re.search(r'GLOBAL ([\w.]+)', str(error))
    if not found:
        return None
    name = found.group(1)
    text = f'it holds more than data, {name}, which could run code when it is '
    if _may_be_trusted(name):
        text += 'read. If you trust who made it, allow that by name: '
        return f'{text}{TRUST}={name}'
    return f'{text}read, and is no class that trainings write: do not use it.'


def _may_be_trusted(name: str) -> bool:
    """Whether a training may have written it: a class, and none of the
    system's, by whatever name. What has not been imported is told by its
    name, since importing runs code."""
    if name in _HARMLESS:
        return True
    found = _find(name)
    if found is None:
        is_class = name.rpartition('.')[2].lstrip('_')[:1].isupper()
        home = name
    else:
        is_class = isinstance(found, type)
        home = str(getattr(found, '__module__', ''))
    roots = {path.partition('.')[0] for path in (name, home)}
    return is_class and not roots & set(_SYSTEM)


def _find(path: str) -> Any:
    """What has this name in the modules that are imported, or None."""
    parts = path.split('.')
    for length in range(len(parts) - 1, 0, -1):
        found = sys.modules.get('.'.join(parts[:length]))
        if found is not None:
            for name in parts[length:]:
                found = getattr(found, '__dict__', {}).get(name)
            return found
    return None


def _load_url(
    url: str,
    model_dir: Optional[str] = None,
    map_location: Any = None,
    progress: bool = True,
) -> Any:
    """torch.hub's, which by itself loads unsafely."""
    folder = model_dir or osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(url).path))
    if not osp.exists(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=progress)
    return load_from_local(path, map_location)


# ------------------------------------------------------------- allow-list


def _mmengine_globals() -> Dict[str, Callable]:
    """What mmengine's checkpoints hold beside weights: its log, and NumPy
    arrays and numbers.
    https://github.com/open-mmlab/mmengine/issues/1655
    """
    numpy_2 = digit_version(np.__version__) >= digit_version('2.0')
    core = np._core if numpy_2 else np.core
    multiarray, numeric = core.multiarray, core.numeric
    allowed = {
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
        # how pickle spells `HistoryBuffer.mean`
        'builtins.getattr': _get_statistic,
        '__builtin__.getattr': _get_statistic,
    }
    for package in ('numpy.core', 'numpy._core'):
        for name in ('_reconstruct', 'scalar'):
            allowed[f'{package}.multiarray.{name}'] = getattr(multiarray, name)
        allowed[f'{package}.numeric._frombuffer'] = numeric._frombuffer
    for kind in {type(np.dtype(kind)) for kind in '?bBhHiIlLqQfdeUS'}:
        allowed[f'{kind.__module__}.{kind.__qualname__}'] = kind
    return allowed


def _trusted_globals() -> Dict[str, Any]:
    trusted = {}
    for path in filter(None, os.environ.get(TRUST, '').split(',')):
        path = path.strip()
        try:
            import_module(path.rpartition('.')[0])
        except ImportError:  # of a class inside of another, say
            pass
        if not _may_be_trusted(path):
            raise ValueError(
                f'{TRUST}={path}: it is no class of a training, and could run '
                'whatever a file says.'
            )
        trusted[path] = _find(path)
        if trusted[path] is None:
            raise ValueError(
                f'{TRUST}={path}: there is no such class. Is its package '
                'installed?'
            )
    return trusted


@lru_cache(maxsize=None)
def _pickle_globals() -> Dict[str, Any]:
    """PyTorch's own allow-list, mmengine's, and plain containers."""
    from _codecs import encode
    from collections import Counter, OrderedDict, defaultdict

    from torch._weights_only_unpickler import _get_allowed_globals

    plain = (list, tuple, dict, set, frozenset, slice)
    plain += (bool, int, float, complex, str, bytes, bytearray)
    return {
        **_get_allowed_globals(),
        **_mmengine_globals(),
        **{f'builtins.{kind.__name__}': kind for kind in plain},
        'collections.Counter': Counter,  # of MultiStepLR
        'collections.OrderedDict': OrderedDict,
        'collections.defaultdict': defaultdict,
        '_codecs.encode': encode,  # bytes
        'torch.storage._load_from_bytes': _load_from_bytes,
        **_trusted_globals(),
    }


def _get_statistic(owner: type, name: str) -> Callable:
    """What a checkpoint needs of ``getattr``, which itself is not safe."""
    if owner is not HistoryBuffer or name not in (
        'min',
        'max',
        'current',
        'mean',
    ):
        raise pickle.UnpicklingError(
            f'{owner!r}.{name} is not allowed in a checkpoint.'
        )
    return getattr(HistoryBuffer, name)


def _load_from_bytes(content: bytes) -> Any:
    """PyTorch's own of this name loads unsafely."""
    return torch.load(io.BytesIO(content))


# ----------------------------------------------------------------- pickles


class _SafeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """See :class:`pickle.Unpickler`."""
        path = f'{module}.{name}'.replace('__builtin__.', 'builtins.')
        if path not in _pickle_globals():
            raise pickle.UnpicklingError(f'GLOBAL {path}')
        return _pickle_globals()[path]


def _load(file: io.IOBase, **kwargs) -> Any:
    return _SafeUnpickler(file, **kwargs).load()


def load_pickle(file: io.IOBase, **kwargs) -> Any:
    """Takes the place of what mmengine's ``PickleHandler`` does.

    Args:
        file (IOBase): Opened in binary mode.
        **kwargs: See :func:`pickle.load`.

    Raises:
        UnreadableFileError: If it is not safe.
    """
    try:
        return _load(file, **kwargs)
    except pickle.UnpicklingError as error:
        raise UnreadableFileError(
            f'A pickle is refused: {_refusal(error) or error}'
        ) from error
