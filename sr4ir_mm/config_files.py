"""From a config's file and ``--cfg-options`` to the config, with errors that
name the file and line, or the option."""

import argparse
import logging
import os.path as osp
import traceback
from typing import Any, Dict, List
from unittest.mock import patch

from mmengine.config import Config, DictAction
from mmengine.logging import print_log

from sr4ir_mm.mistakes import explain, find_unread

PAIRS = {'[': ']', '(': ')'}


def read_config_file(path: str) -> Config:
    """Read a config file.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it, or one that it inherits from, cannot be read: with
            the file and, where it is known, the line.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no config {path!r}.')
    reading: List[str] = []  # from `path` to what it inherits from
    read = Config._file2dict

    def read_one(filename: str, *args, **kwargs) -> tuple:
        file = osp.abspath(filename)
        if file in reading:
            raise ValueError(
                'its `_base_` goes in a circle: '
                f'{" -> ".join([*reading[reading.index(file) :], file])}'
            )
        if not osp.isfile(file):
            raise ValueError(f'there is no {file}, which is its `_base_`')
        reading.append(file)
        found = read(filename, *args, **kwargs)
        reading.pop()  # not after an error: so the last one is at fault
        return found

    with patch.object(Config, '_file2dict', staticmethod(read_one)):
        try:
            return Config.fromfile(path)
        except Exception as error:
            file = reading[-1] if reading else path
            raise ValueError(
                f'{file}{_line(error, file)}: {_reason(error)}'
            ) from error


def _line(error: Exception, file: str) -> str:
    line = getattr(error, 'lineno', None)
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b'\n') + 1
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = number
    return f', line {line}' if line else ''


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return 'it is no text in UTF-8; save it as such'
    if isinstance(error, SyntaxError):
        return f'{error.msg}, in {(error.text or "").strip()!r}'
    return explain(error, Config())


def merge_options(cfg: Config, options: Dict[str, Any]) -> None:
    """Merge ``--cfg-options`` into a config, and warn of those that nothing
    reads.

    Raises:
        ValueError: If an option cannot be merged.
    """
    unread = find_unread(cfg, options)
    before = cfg.to_dict()
    try:
        cfg.merge_from_dict(options)
    except Exception as error:
        key = next(k for k in options if not _fits(before, {k: options[k]}))
        reason = unread.get(key) or explain(error, Config())
        raise ValueError(f'--cfg-options {key}: {reason}') from error
    for key, reason in unread.items():
        print_log(f'--cfg-options {key}: {reason}', level=logging.WARNING)


def _fits(cfg: dict, option: Dict[str, Any]) -> bool:
    try:
        Config(cfg).merge_from_dict(option)
    except Exception:
        return False
    return True


class ConfigOptions(DictAction):
    """mmengine's ``KEY=VALUE``, which keeps the blanks inside of a value, and
    says what is wrong with one that it cannot read.

    ``a, b``, ``[a, b]`` and ``(a, b)`` are lists and a tuple; quotes make a
    text of what is in them.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for text in values:
            key, equals, value = text.partition('=')
            try:
                if not (key and equals):
                    raise ValueError('expected KEY=VALUE')
                options[key] = _parse(value)
            except ValueError as error:
                raise argparse.ArgumentError(
                    self, f'{text}: {error}'
                ) from None
        setattr(namespace, self.dest, options)


def _parse(text: str) -> Any:
    text = text.strip()
    if text[:1] in ('"', "'") and text.find(text[0], 1) == len(text) - 1:
        inner = text[1:-1].strip()  # `"[a, b]"`, as mmengine wants it quoted
        return _parse(inner) if inner[:1] in PAIRS else text[1:-1]
    parts, make = _split(text), list
    if len(parts) == 1:
        if PAIRS.get(text[:1]) != text[-1:]:
            return DictAction._parse_int_float_bool(text)
        parts, make = _split(text[1:-1]), tuple if text[0] == '(' else list
    return make(_parse(part) for part in parts if part.strip())


def _split(text: str) -> List[str]:
    """At commas outside of brackets and quotes."""
    parts, start, closing, quote = [], 0, [], ''
    for i, char in enumerate(text):
        if quote:
            quote = '' if char == quote else quote
        elif char in '"\'' and not text[start:i].strip(' [('):
            quote = char
        elif char in PAIRS:
            closing.append(PAIRS[char])
        elif char in PAIRS.values():
            if not closing or closing.pop() != char:
                raise ValueError(f'there is no bracket that {char!r} closes')
        elif char == ',' and not closing:
            parts.append(text[start:i])
            start = i + 1
    if quote or closing:
        raise ValueError(f'{quote or closing[-1]!r} is missing at the end')
    return [*parts, text[start:]]
