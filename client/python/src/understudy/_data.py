# SPDX-License-Identifier: MIT
"""Data files of local packages, which travel beside the modules.

Never those whose name begins with a dot, nor what git ignores; and only up to a limit:
what is over stays behind, with a warning.
"""

from __future__ import annotations

import os
import stat
import subprocess
import warnings
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

LIMIT = 16 * 1024 * 1024  # of one package
COUNT = 2000

_CODE = (".py", ".pyi", ".pyc", ".pyo", ".pyd", *EXTENSION_SUFFIXES)
_SHOWN = 3

_Stamp = Tuple[int, int]


class Data(NamedTuple):
    files: Dict[str, bytes]  # by path in the bundle
    stamps: Dict[str, Optional[_Stamp]]  # of all files and folders that were looked at

    def is_as_it_was(self) -> bool:
        return all(stamp_of(path) == stamp for path, stamp in self.stamps.items())


def stamp_of(path: str) -> Optional[_Stamp]:
    """Changes when the file does."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def collect(package: str, folders: List[str]) -> Data:
    """The data files of a top-level package."""
    stamps: Dict[str, Optional[_Stamp]] = {}
    found: List[Tuple[int, str, str]] = []
    for folder in folders:
        files: List[Tuple[int, str, str]] = []
        for path, size in _walk(folder, stamps):
            inside = os.path.relpath(path, folder).replace(os.sep, "/")
            files.append((size, f"{package}/{inside}", path))
            if len(files) > COUNT:
                break
        ignored = _ignored(folder, [path for _, _, path in files])
        if ignored is None:
            _warn(package, files, "git does not say which of them it ignores")
            continue
        found += [file for file in files if file[2] not in ignored]
    contents: Dict[str, bytes] = {}
    left: List[Tuple[int, str, str]] = []
    room = LIMIT
    for size, name, path in sorted(found):
        data = _read(path) if size <= room and len(contents) < COUNT else None
        if data is None or len(data) > room:
            left.append((size, name, path))
            continue
        room -= len(data)
        stamps[path] = stamp_of(path)
        contents.setdefault(name, data)
    if left:
        over = f"they are over {LIMIT >> 20} MiB, or {COUNT} files, in all"
        _warn(package, left, over)
    return Data(contents, stamps)


def _walk(
    folder: str, stamps: Dict[str, Optional[_Stamp]]
) -> Iterator[Tuple[str, int]]:
    for place, folders, files in os.walk(folder):
        stamps[place] = stamp_of(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in ("__pycache__", "node_modules")
            and not name.endswith(".egg-info")
            and not os.path.exists(os.path.join(place, name, "pyvenv.cfg"))
        )
        for name in sorted(files):
            if name.startswith(".") or name.endswith(_CODE):
                continue
            path = os.path.join(place, name)
            try:
                found = os.stat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_size


def _ignored(folder: str, paths: List[str]) -> Optional[Set[str]]:
    """Which of these files git ignores; None where git does not say."""
    if not paths or not _is_in_repository(folder):
        return set()
    try:
        done = subprocess.run(
            ["git", "-C", folder, "check-ignore", "-z", "--stdin"],
            input=b"\0".join(map(os.fsencode, paths)),
            capture_output=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode not in (0, 1):  # 1: none of them
        return None
    return {os.fsdecode(path) for path in done.stdout.split(b"\0")}


def _is_in_repository(folder: str) -> bool:
    place = os.path.abspath(folder)
    while not os.path.exists(os.path.join(place, ".git")):
        outer = os.path.dirname(place)
        if outer == place:
            return False
        place = outer
    return True


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as stream:
            return stream.read(LIMIT + 1)
    except OSError:
        return None


def _warn(package: str, files: List[Tuple[int, str, str]], why: str) -> None:
    if not files:
        return
    names = [name for _, name, _ in sorted(files)]
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    warnings.warn(
        f"data files of the package {package} stay behind, {why}: {shown}{more}",
        stacklevel=2,
    )
