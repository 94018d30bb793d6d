# SPDX-License-Identifier: MIT
"""The files of a bundle on disk: unpacks an archive, tells whether a tree is sound.

An archive is read only if it has the sum that it is named by, and a tree is compared
file by file with its archive before it is used. After that the zygote keeps a stamp of
each file and folder, which the kernel changes with every change to it and which no
program can set back: as long as all stamps are the same, nothing is compared again.

Python keeps __pycache__ itself. Its content is not compared; it is thrown away with the
tree that it belongs to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from typing import Dict, List, Mapping, Optional, Set, Tuple

from understudy._envelope import decode_bundle

_TRIES = 8
_BYTE_CODE = {"__pycache__"}
# The kernel's clock for files moves in steps of up to 10 ms. What has changed this
# recently may change again and keep its stamp.
_SETTLED_NS = 20_000_000

Stamp = Tuple[str, int, int, int]  # path, mode, inode, time of the last change
Files = Mapping[str, bytes]


class BlobGone(OSError):
    """The archive is not there, or had not the sum of its name and was removed: the
    daemon must fetch it anew."""


def read_archive(digest: bytes, path: str) -> Dict[str, bytes]:
    """The files in the archive at path. OSError, BlobGone, ProtocolError."""
    try:
        if stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, "rb") as archive:
                data = archive.read()
            if hashlib.sha256(data).digest() == digest:
                return decode_bundle(data)
            os.unlink(path)
        else:
            _remove(path)
    except FileNotFoundError:  # another process may remove it at any time
        raise BlobGone(f"{path} is gone") from None
    raise BlobGone(f"{path} was damaged, and is removed")


def _remove(path: str) -> None:
    """What stands in the place of a file; a job may have put anything there."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        shutil.rmtree(path)


# --- Examining ------------------------------------------------------------------------


def _stamp(path: str) -> Stamp:
    status = os.lstat(path)
    return path, status.st_mode, status.st_ino, status.st_ctime_ns


def are_unchanged(stamps: List[Stamp]) -> bool:
    """Whether nothing has touched what these are the stamps of."""
    try:
        return all(_stamp(stamp[0]) == stamp for stamp in stamps)
    except OSError:
        return False


def are_settled(stamps: List[Stamp]) -> bool:
    """Whether every later change will show in these stamps."""
    return max(changed for _, _, _, changed in stamps) < time.time_ns() - _SETTLED_NS


def examine(place: str, files: Files) -> Optional[List[Stamp]]:
    """Stamps of a tree that holds these files and no others; None of any other tree."""
    try:
        # A stamp is taken before the look, so that a change in between shows later.
        stamps = [
            *(_examine_folder(*folder) for folder in _folders(place, files).items()),
            *(_examine_file(os.path.join(place, name), files[name]) for name in files),
        ]
    except (OSError, _Unsound):
        return None
    return stamps


class _Unsound(Exception):
    """Something in a tree is not as its archive has it."""


def _folders(place: str, files: Files) -> Dict[str, Set[str]]:
    """Each folder of the tree, place itself first, and the names in it."""
    folders: Dict[str, Set[str]] = {place: set()}
    for name in files:
        folder = place
        for part in name.split("/"):
            folders.setdefault(folder, set()).add(part)
            folder = os.path.join(folder, part)
    return folders


def _examine_folder(path: str, names: Set[str]) -> Stamp:
    stamp = _stamp(path)
    others = names ^ set(os.listdir(path))
    if not stat.S_ISDIR(stamp[1]) or others - _BYTE_CODE:
        raise _Unsound
    return stamp


def _examine_file(path: str, content: bytes) -> Stamp:
    stamp = _stamp(path)
    if not stat.S_ISREG(stamp[1]):
        raise _Unsound
    with open(path, "rb") as file:
        if file.read() != content:
            raise _Unsound
    return stamp


# --- Unpacking ------------------------------------------------------------------------


def unpack(place: str, files: Files) -> None:
    """Makes place a tree of these files: writes them aside, publishes by rename. What
    stands there and is not sound gives way; whoever runs on it finds the new files."""
    folder, name = os.path.split(place)
    aside = os.path.join(folder, f".{name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _write(aside, files)
        _publish(aside, place, files)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(aside: str, files: Files) -> None:
    os.makedirs(aside)
    for name, content in files.items():
        target = os.path.join(aside, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as out:
            out.write(content)


def _publish(aside: str, place: str, files: Files) -> None:
    for _ in range(_TRIES):
        try:
            os.rename(aside, place)
            return
        except OSError:
            if examine(place, files) is not None:
                return  # another process was faster
        # A name of its own: what cannot be removed now, the daemon removes later.
        broken = f"{aside}.{time.monotonic_ns()}"
        try:
            os.rename(place, broken)
        except OSError:
            continue  # another process has moved it
        shutil.rmtree(broken, ignore_errors=True)
    raise OSError(f"cannot publish {place}")
