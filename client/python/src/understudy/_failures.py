# SPDX-License-Identifier: MIT
"""From a failure envelope to the exception that get() raises.

The exception of the job is raised as itself where it can be rebuilt: from its pickle
where pickles are trusted, otherwise builtin ones from a fixed table. The traceback on
the node is shown as its cause, with source lines read here.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import os
import re
import stat
import sys
from typing import Any, Dict, List, Optional, Set, Type

from understudy import _bundle, _envelope, _pickler, exceptions
from understudy.exceptions import RemoteError, UnderstudyError, _from_code

_FRAME = re.compile(r'^( *(?:[|+] *)*)  File "(.*)", line (\d+)(?:, in .*)?$')
_LARGEST_SOURCE = 16 << 20

# A class that cannot be made from a message alone (UnicodeDecodeError, ExceptionGroup)
# stays a RemoteError where its pickle is not loaded.
_BUILTIN: Dict[str, Type[Exception]] = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
}


class RemoteTraceback(Exception):
    """The traceback on the node; the cause of what get() raises."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def rebuild(body: bytes, code: int, text: str, trust: bool = True) -> BaseException:
    """The exception of a failed job. body: the failure envelope, or empty. code and
    text: what the broker says."""
    if not body:
        return _from_code(code, text)
    try:
        failure = _envelope.Failure.decode(body)
    except UnderstudyError as problem:
        return _from_code(code, f"{text} ({problem})".strip())
    error = _exception_of(failure, trust)
    if isinstance(error, ModuleNotFoundError):
        _advise(error)
    if failure.traceback:
        error.__cause__ = RemoteTraceback(fill_in(failure.traceback))
    return error


def _advise(error: ModuleNotFoundError) -> None:
    """Says what would bring the module that a job has missed."""
    name = error.name
    if not name:
        found = re.search(r"No module named '([\w.]+)'", str(error))
        name = found.group(1) if found else None
    advice = _bundle.advice(name) if name else None
    if advice:
        error.add_note(advice)


def _exception_of(failure: _envelope.Failure, trust: bool) -> BaseException:
    detail = dict(failure.detail)
    if failure.code != RemoteError.code:
        return _from_code(failure.code, failure.message, detail)
    error = _unpickled(failure) if trust and failure.pickle is not None else None
    if error is None:
        error = _by_name(failure)
    if error is not None:
        return error
    name = failure.type
    if failure.module not in ("builtins", "__main__", ""):
        name = f"{failure.module}.{name}"
    message = f"{name}: {failure.message}" if failure.message else name
    detail.update(type=name, traceback=failure.traceback)
    return RemoteError(message, detail=detail)


def _unpickled(failure: _envelope.Failure) -> Optional[Exception]:
    """The exception itself. SystemExit and KeyboardInterrupt of a job do not end the
    program that asks for its result: they become RemoteError."""
    data = failure.pickle or b""
    try:
        error = _envelope.decode_value(data, _pickler.loads, "exception")
    except Exception:
        return None
    same = type(error).__qualname__ == failure.type
    return error if same and isinstance(error, Exception) else None


def _by_name(failure: _envelope.Failure) -> Optional[Exception]:
    if failure.module == "understudy.exceptions":
        cls = getattr(exceptions, failure.type, None)
        if not (isinstance(cls, type) and issubclass(cls, UnderstudyError)):
            return None
        return cls(failure.message, detail=failure.detail)
    if failure.module != "builtins" or failure.type not in _BUILTIN:
        return None
    try:
        return _BUILTIN[failure.type](*_arguments(failure))
    except Exception:
        return None


def _arguments(failure: _envelope.Failure) -> List[Any]:
    if not failure.message:
        return []
    if failure.type == "KeyError":  # its message is the repr of the key
        try:
            return [ast.literal_eval(failure.message)]
        except (ValueError, SyntaxError):
            pass
    return [failure.message]


def fill_in(text: str) -> str:
    """Gives the traceback the paths of this machine, and the source lines that the node
    could not show because it has no such files."""
    lines = text.splitlines()
    filled: List[str] = []
    for number, line in enumerate(lines):
        found = _FRAME.match(line)
        if found is None:
            filled.append(line)
            continue
        indent, file, at = found.group(1), found.group(2), int(found.group(3))
        path = _bundle.file_of(file) or file
        filled.append(line.replace(f'"{file}"', f'"{path}"', 1))
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not following.startswith(indent + "    "):
            source = _source_line(path, at)
            if source:
                filled.append(f"{indent}    {source}")
    return "\n".join(filled)


def _source_line(path: str, number: int) -> str:
    """The node, which names the file, is not believed: only source of this program is
    read, never a device, a pipe or a file that happens to be here."""
    if path not in linecache.cache and not _is_source(path):
        return ""
    return linecache.getline(path, number).strip()


def _is_source(path: str) -> bool:
    if path not in _bundle.local_files() and path not in _module_files():
        return False
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_SOURCE


def _module_files() -> Set[str]:
    """Of all modules that are loaded; vars, since a lazy module would load now."""
    files: Set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            files.update((file, os.path.abspath(file)))
    return files
