# SPDX-License-Identifier: MIT
"""Source bundles: found in the node's cache, held there, and put on sys.path.

The zygote has the Cache; each worker has the SearchPath of its bundles. trees.py knows
what a bundle's directory must hold.
"""

from __future__ import annotations

import fcntl
import importlib
import linecache
import os
import sys
from types import ModuleType
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

import understudy
from understudy._worker import system, trees

_TRIES = 8
_SOURCES = ".source"  # in a bundle: files whose code came by value


class Cache:
    """CACHE/HEX, one directory for each bundle.

    Filled aside and published by rename, so that several processes may do it at once
    and none sees half of it. A daemon removes those whose blob has gone, unless
    somebody holds a shared lock of the directory.
    """

    def __init__(self) -> None:
        # What this process has examined itself, and found sound.
        self._known: Dict[bytes, List[trees.Stamp]] = {}

    def unpack(
        self, cache: str, bundles: Sequence[Sequence[object]]
    ) -> Tuple[Dict[bytes, str], List[int]]:
        """Directory of each bundle, and the descriptors that lock them. OSError,
        BlobGone, ProtocolError."""
        places: Dict[bytes, str] = {}
        held: List[int] = []
        try:
            for digest, path in bundles:
                assert isinstance(digest, bytes) and isinstance(path, str)
                places[digest] = os.path.join(cache, digest.hex())
                held.append(self._hold_sound(places[digest], digest, path))
        except BaseException:
            release(held)
            raise
        return places, held

    def _hold_sound(self, place: str, digest: bytes, path: str) -> int:
        """Locks the bundle's directory, which is made where it is missing or unsound.
        Gives the descriptor."""
        for _ in range(_TRIES):
            fd = _hold(place)
            if fd is not None and self._is_sound(fd, place, digest, path):
                return fd
            trees.unpack(place, trees.read_archive(digest, path))
        raise OSError(f"{place} is removed or changed again and again")

    def _is_sound(self, fd: int, place: str, digest: bytes, path: str) -> bool:
        """Whether the directory holds what its bundle does; closes fd where not."""
        sound = False
        try:
            known = self._known.get(digest)
            sound = known is not None and trees.are_unchanged(known)
            if not sound:
                stamps = trees.examine(place, trees.read_archive(digest, path))
                sound = stamps is not None
                if stamps is not None and trees.are_settled(stamps):
                    self._known[digest] = stamps
            return sound
        finally:
            if not sound:
                os.close(fd)


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
    """Closes the descriptors, and so gives up the locks."""
    for fd in held:
        os.close(fd)


class SearchPath:
    """The bundles of a worker on its sys.path, before the runtime's own modules."""

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
        """Moves the locks to descriptors that a job does not meet by counting, and lets
        programs that the job starts find its modules. Called in the worker."""
        self.held = [system.keep_descriptor(fd) for fd in self.held]
        places = [place for place in self.places.values() if not is_cloudpickle(place)]
        if places:
            os.environ["PYTHONPATH"] = os.pathsep.join([*places, *_own_place()])

    def activate(self, digest: bytes) -> None:
        """Puts a bundle first on sys.path."""
        if digest in self._active:
            return
        place = self.places[digest]
        self._active.append(digest)
        sys.path.insert(0, place)
        importlib.invalidate_caches()
        self._unload_namesakes(place)
        _show_sources(os.path.join(place, _SOURCES))

    def _unload_namesakes(self, place: str) -> None:
        """Forgets modules that only the runtime has imported where the bundle has one
        of the same name: where the job was written the user's directory came first."""
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
        """The path of a file within its bundle; unchanged where it is in none."""
        for place in self.places.values():
            if (
                filename.startswith(place)
                and filename[len(place) : len(place) + 1] == "/"
            ):
                return filename[len(place) + 1 :]
        return filename


def is_cloudpickle(place: str) -> bool:
    """Whether the bundle there is what the client pickles with."""
    return set(os.listdir(place)) - {"__pycache__"} == {"cloudpickle"}


def _own_place() -> List[str]:
    """Where programs that a job starts find this package, unless its environment has
    one."""
    own = os.path.dirname(os.path.dirname(understudy.__file__))
    others = (place for place in sys.path if place != own)
    if any(os.path.isdir(os.path.join(place, "understudy")) for place in others):
        return []
    return [own]


def _show_sources(folder: str) -> None:
    """Gives tracebacks the lines of code that came by value, by the names that its
    files have on the client's machine."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, encoding="utf-8", errors="replace") as stream:
                lines = stream.readlines()
            file = path[len(folder) :]
            linecache.cache[file] = (os.path.getsize(path), None, lines, file)


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
    """A context in which the names of these modules mean them, whatever was imported
    under the same names before."""

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
