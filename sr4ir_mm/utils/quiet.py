"""What nobody needs to see on the screen; a log file has it."""

import logging
import re
import warnings
from typing import Optional, TextIO

from mmengine.logging import MMLogger

# Hundreds of lines, or sentences about which nobody can do anything.
_FOR_THE_FILE = re.compile(
    r'\s*-{60}\nSystem environment:|Config:\n|Hooks will be executed in '
    r'|paramwise_options -- |Distributed training is not used, all SyncBatch'
    r'|Exp name: |Checkpoints will be saved to |backbone out_(ind|chan|strid)'
    r'|backbone feature_info'
    r'|The prefix is not set in metric class |"FileClient" will be deprecated'
    r'|"HardDiskBackend" is the alias of |UserWarning: ``build_loss`` would '
    # the optimizer of a network whose phase has not begun
    r'|UserWarning: Detected call of `scheduler.step\(\)` before '
    r'|UserWarning: faster_coco_eval is not installed'
    r'|UserWarning: torch.meshgrid: in an upcoming release'
)


def keep_short(logger: MMLogger) -> None:
    """Leave out on the screen what is for the file; and let Python's warnings
    go the way of the log, which says each once, on one rank.

    Args:
        logger (MMLogger): Of a runner, or of a command without one.
    """
    logger.handlers[0].addFilter(_is_for_the_screen)
    warnings.showwarning = _log_warning


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    return not _FOR_THE_FILE.match(record.getMessage())


def _log_warning(
    message: Warning,
    category: type,
    filename: str,
    lineno: int,
    file: Optional[TextIO] = None,
    line: Optional[str] = None,
) -> None:
    MMLogger.get_current_instance().warning(
        f'{category.__name__}: {str(message).strip()} ({filename}:{lineno})'
    )
