# SPDX-License-Identifier: MIT
"""The scratch directory of a worker: working directory and TMPDIR of each of its jobs,
which find it empty. A job that does not touch it costs one look."""

from __future__ import annotations

import operator
import os
import shutil
import stat
import sys
from typing import Any, Callable, Tuple

from understudy._worker import system

_OLD = 1_000_000_000_000_000_000  # ns; what is made in it or taken out makes it younger
_MODE = 0o700
_of_folder = operator.attrgetter("st_mtime", "st_mode", "st_nlink")


class Scratch:
    def __init__(self, root: str, number: int) -> None:
        self.path = os.path.join(root, str(number))
        self._untouched: Tuple[Any, ...] = ()
        os.mkdir(self.path, _MODE)
        self._fd = system.keep_descriptor(
            os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        )
        os.environ["TMPDIR"] = self.path
        self._mark()

    def _mark(self) -> None:
        os.utime(self.path, ns=(_OLD, _OLD))
        self._untouched = _of_folder(os.fstat(self._fd))

    def put_back(self) -> bool:
        """Empties it where a job has touched it. False: it is another directory now, or
        something cannot be removed."""
        try:
            if _of_folder(os.fstat(self._fd)) == self._untouched:
                return True
            os.chmod(self.path, _MODE)
            empty(self.path)
            self._mark()
            return True
        except OSError:
            return False


def empty(path: str) -> None:
    """OSError where something stays."""
    with os.scandir(path) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)


def remove_tree(path: str) -> None:
    """Also what may not be written. OSError where something stays."""
    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=_retry)
    else:
        shutil.rmtree(path, onerror=_retry)


def _retry(function: Callable[[str], Any], path: str, _: object) -> None:
    parent = os.path.dirname(path)
    for place in (parent, path):
        if stat.S_ISDIR(os.lstat(place).st_mode):
            os.chmod(place, _MODE)
    if function in (os.unlink, os.rmdir, os.remove):
        function(path)
    else:  # it could not be read
        shutil.rmtree(path)


def copy(folder: str, place: str) -> None:
    """Gives a job files of its own, which it may change."""
    for here, folders, names in os.walk(folder):
        there = os.path.normpath(os.path.join(place, os.path.relpath(here, folder)))
        for name in folders:
            os.makedirs(os.path.join(there, name), exist_ok=True)
        for name in names:
            shutil.copyfile(os.path.join(here, name), os.path.join(there, name))
