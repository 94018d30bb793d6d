# SPDX-License-Identifier: MIT
"""Source bundles: unpacked once into the node's cache, then put on sys.path."""

from __future__ import annotations

import fcntl
import importlib
import os
import shutil
import sys
from types import ModuleType
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from understudy._envelope import decode_bundle
from understudy._worker import system

_TRIES = 8


class Store:
    """CACHE/HEX, one directory for each bundle.

    Filled aside and published by rename, so that several processes may do it at once
    and none sees half of it. A daemon removes those whose blob has gone, unless
    somebody holds a shared lock of the directory.
    """

    def __init__(self) -> None:
        self._known: Dict[bytes, str] = {}

    def unpack(
        self, cache: str, bundles: Sequence[Sequence[object]]
    ) -> Tuple[Dict[bytes, str], List[int]]:
        """Directory of each bundle, and the descriptors that lock them. OSError,
        ProtocolError."""
        places: Dict[bytes, str] = {}
        held: List[int] = []
        try:
            for digest, path in bundles:
                assert isinstance(digest, bytes) and isinstance(path, str)
                places[digest], fd = self._find(cache, digest, path)
                held.append(fd)
        except BaseException:
            release(held)
            raise
        return places, held

    def _find(self, cache: str, digest: bytes, path: str) -> Tuple[str, int]:
        place = self._known.get(digest)
        for _ in range(_TRIES):
            fd = None if place is None else _hold(place)
            if place is not None and fd is not None:
                return place, fd
            place = self._known[digest] = _unpack(cache, digest, path)
        raise OSError(f"{place} is removed again and again")


def _hold(place: str) -> Optional[int]:
    """A descriptor whose lock keeps the directory; None where it is not there, or was
    removed before it was locked."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)  # who removes holds it for a moment only
        if os.path.samestat(os.fstat(fd), os.stat(place)):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def release(held: Sequence[int]) -> None:
    for fd in held:
        os.close(fd)


def _unpack(cache: str, digest: bytes, path: str) -> str:
    with open(path, "rb") as blob:
        files = decode_bundle(blob.read())
    place = os.path.join(cache, digest.hex())
    if _is_whole(place, files):
        return place
    aside = os.path.join(cache, f".{digest.hex()}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _write(aside, files)
        _publish(aside, place, files)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def _is_whole(place: str, files: Mapping[str, bytes]) -> bool:
    """After a power failure a published directory may hold files that are cut short."""
    try:
        return all(
            os.stat(os.path.join(place, name)).st_size == len(content)
            for name, content in files.items()
        ) and os.path.isdir(place)
    except OSError:
        return False


def _write(aside: str, files: Mapping[str, bytes]) -> None:
    os.makedirs(aside)
    for name, content in files.items():
        target = os.path.join(aside, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as out:
            out.write(content)


def _publish(aside: str, place: str, files: Mapping[str, bytes]) -> None:
    for _ in range(_TRIES):
        try:
            os.rename(aside, place)
            return
        except OSError:
            if _is_whole(place, files):
                return  # somebody else was faster
        try:  # a broken one is moved away, to be removed with ours
            broken = f"{aside}.broken"
            os.rename(place, broken)
            shutil.rmtree(broken, ignore_errors=True)
        except OSError:
            continue
    raise OSError(f"cannot publish {place}")


class Path:
    """Bundles on sys.path, and which of a worker's modules they take the place of."""

    def __init__(
        self,
        places: Mapping[bytes, str],
        startup: FrozenSet[str],
        held: Sequence[int] = (),
    ) -> None:
        """startup: the modules that a plain interpreter begins with. held: what locks
        the places, as long as this process lives; the worker's after the fork."""
        self.places = dict(places)
        self.held = held
        self._startup = startup
        self._active: List[bytes] = []

    def keep(self) -> None:
        """In the worker: the locks are kept where a job does not meet them."""
        self.held = [system.keep_descriptor(fd) for fd in self.held]

    def activate(self, digest: bytes) -> None:
        """Puts a bundle first on sys.path."""
        if digest in self._active:
            return
        place = self.places[digest]
        self._active.append(digest)
        sys.path.insert(0, place)
        importlib.invalidate_caches()
        self._uncover(place)

    def _uncover(self, place: str) -> None:
        """A user's module may have the name of one that only the runtime has imported.
        Where the job was written its directory came first; so it does here."""
        for entry in os.listdir(place):
            name = entry[:-3] if entry.endswith(".py") else entry
            if (
                name in sys.modules
                and name not in self._startup
                and name != "understudy"
            ):
                for loaded in list(sys.modules):
                    if loaded == name or loaded.startswith(name + "."):
                        del sys.modules[loaded]

    def relative(self, filename: str) -> str:
        """The file's path in its bundle, if it is of one."""
        for place in self.places.values():
            if (
                filename.startswith(place)
                and filename[len(place) : len(place) + 1] == "/"
            ):
                return filename[len(place) + 1 :]
        return filename


def import_aside(place: str, name: str) -> Dict[str, ModuleType]:
    """Imports a package from place by its own name, yet leaves sys.modules as it was.

    Gives the package and what was loaded of it, for use with shadowed.
    """
    before = _modules_of(name)
    with shadowed(before):
        for key in before:
            del sys.modules[key]
        sys.path.insert(0, place)
        importlib.invalidate_caches()
        try:
            importlib.import_module(name)
            return _modules_of(name)
        finally:
            sys.path.remove(place)
            for key in _modules_of(name):
                del sys.modules[key]


def _modules_of(name: str) -> Dict[str, ModuleType]:
    return {
        key: module
        for key, module in list(sys.modules.items())
        if key == name or key.startswith(name + ".")
    }


class shadowed:
    """Within this, the modules' names mean these, whatever was imported before."""

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = modules
        self._before: Dict[str, Optional[ModuleType]] = {}

    def __enter__(self) -> None:
        self._before = {name: sys.modules.get(name) for name in self._modules}
        sys.modules.update(self._modules)

    def __exit__(self, *exc: object) -> None:
        for name, module in self._before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
