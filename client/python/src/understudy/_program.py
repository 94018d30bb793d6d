# SPDX-License-Identifier: MIT
"""Which program this process is: a node's worker serves one program of one owner.

It is the same program as long as its main file, with what stands in it, and the
working directory are the same. Processes that it starts with multiprocessing are it as
well. Without a file (a prompt, a notebook, a program read from standard input) each
session is a program of its own.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from typing import Optional

_SESSION = os.urandom(16)  # made with the import, so that forked children have it


@functools.lru_cache(maxsize=1)
def identity() -> bytes:
    content = _content()
    if content is None:
        return _SESSION
    sum_ = hashlib.sha256()
    for part in (_path(), _place()):
        sum_.update(os.fsencode(part) + b"\0")
    sum_.update(content)
    return sum_.digest()


def _path() -> str:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.realpath(file) if isinstance(file, str) else ""


def _place() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _content() -> Optional[bytes]:
    path = _path()
    if not path:
        return _command()
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None


def _command() -> Optional[bytes]:
    """The text of python -c."""
    words = getattr(sys, "orig_argv", ())  # from Python 3.10 on
    if sys.argv[:1] != ["-c"] or "-c" not in words:
        return None
    return os.fsencode(words[words.index("-c") + 1])
