"""What a user did wrong, in one sentence."""

import io
import json
import logging
import os
import os.path as osp
import re
import shutil
import sys
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Optional

if TYPE_CHECKING:
    from mmengine.config import Config

_LONG = 1000  # characters; what is longer is in the log
# Errors whose text alone says little.
_TERSE = (
    *(KeyError, IndexError, TypeError, AttributeError, NameError),
    *(ArithmeticError, AssertionError),
)


def few(names: Iterable[Any], number: int = 8) -> str:
    """Some names, and how many more there are."""
    names = list(map(str, names))
    more = f' and {len(names) - number} more' * (len(names) > number)
    return ', '.join(names[:number]) + more


@contextmanager
def one_sentence(
    cfg: Optional['Config'] = None, debug: bool = False, status: int = 1
) -> Iterator[None]:
    """Inside, an error ends the script with one sentence on the screen; its
    traceback is in the log file, if there is one. The screen is kept short.

    Args:
        cfg (Config, optional): What the script runs.
        debug (bool): Whether to show the traceback instead.
        status (int): What the script exits with. Defaults to 1.
    """
    if 'mmengine.logging' in sys.modules:  # else init_model does
        _keep_short()
    try:
        yield
    except Exception as error:
        if debug:
            raise
        files = _log_files()
        for handler in files:
            handler.handle(
                logging.LogRecord(
                    'mmengine',
                    logging.ERROR,
                    '',
                    0,
                    traceback.format_exc(),
                    (),
                    None,
                )
            )
        where = files[0].baseFilename if files else '--debug'
        text = f'error: {explain(error, cfg)}\n(traceback: {where})'
        _tell_launcher(text)
        print(text, file=sys.stderr, flush=True)
        sys.exit(status)


def _keep_short() -> None:
    from mmengine.logging import MMLogger

    from .quiet import keep_short

    keep_short(MMLogger.get_current_instance())


def _log_files() -> List[logging.FileHandler]:
    """Of mmengine, which a script may do without."""
    if 'mmengine.logging' not in sys.modules:
        return []
    from mmengine.logging import MMLogger

    return [
        handler
        for handler in MMLogger.get_current_instance().handlers
        if isinstance(handler, logging.FileHandler)
    ]


def _tell_launcher(text: str) -> None:
    """torchrun ends its own report with what it finds in this file; without
    it, the text stands some forty lines above."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        facts = dict(py_callstack=text, timestamp=str(int(time.time())))
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(dict(message=dict(message=text, extraInfo=facts)), file)


def explain(error: Exception, cfg: Optional['Config'] = None) -> str:
    """What went wrong, with the config's key where it can be found.

    Args:
        error (Exception): Of any part of the training.
        cfg (Config, optional): What was run.
    """
    text = str(error)
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    if isinstance(error, OSError) and error.strerror and not error.filename:
        text = f'{_open_file(error)}{error.strerror}'
    if 'DataLoader worker' in text:  # whose whole traceback it quotes
        text = re.split(r'\n[\w.]+: ', text.strip())[-1]
    if 'exited unexpectedly' in text and osp.isdir('/dev/shm'):
        free = shutil.disk_usage('/dev/shm').free // 2**20
        text += (
            f' What it failed on is above. Workers hand over batches by '
            f'/dev/shm, which has {free} MiB free: Docker gives more by '
            '--shm-size, and train_dataloader.num_workers=0 needs none.'
        )
    unknown = re.search(r"'?([\w.]+) is not in the \S*?(\w+) registry", text)
    wrong = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unknown or wrong:
        # what it needs takes long to be imported
        from .config_keys import explain_argument, explain_type

        if unknown:
            return explain_type(*unknown.groups(), cfg)
        found = explain_argument(wrong.group(1), text, cfg)
        if found:
            return found
    # mmengine names all that it was about to build, from the outside
    text = re.sub(r'class `(\w+)` in \S+?\.py: ', '', text).strip()
    text = ' '.join(text.split())
    if isinstance(error, _TERSE) or not text:
        text = f'{type(error).__name__}: {text}'
    return text if len(text) < _LONG else f'{text[:_LONG]} ...'


def _open_file(error: Exception) -> str:
    """The file that was being written: a full disk's error has no name."""
    name = ''
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, io.IOBase) and hasattr(value, 'name'):
                name = f'{value.name}: '
    return name
