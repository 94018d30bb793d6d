# SPDX-License-Identifier: MIT
"""Source bundles: found in the node's cache, held there, and put on sys.path.

A worker has a Cache and a SearchPath. It serves one program, whose functions may come
with different bundles: modules that are loaded stay, and serve all of them, as long as
no bundle has another content for them. trees.py knows what a bundle's directory must
hold.
"""

from __future__ import annotations

import fcntl
import importlib
import linecache
import os
import sys
from types import ModuleType
from typing import (
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import understudy
from understudy._envelope import FILES, SETUP
from understudy._worker import system, trees

_TRIES = 8
_SOURCES = ".source"  # in a bundle: files whose code came by value
_NO_MODULES = (_SOURCES, SETUP, FILES, "__pycache__")


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


class Conflict(Exception):
    """A set of bundles needs another process: one has another content for what is
    loaded from an earlier one, or its blob has gone."""


class SearchPath:
    """The bundles of a worker on its sys.path, before the runtime's own modules."""

    def __init__(self, startup: FrozenSet[str]) -> None:
        """startup: the modules that a plain interpreter begins with."""
        self.places: Dict[bytes, str] = {}  # of the set that the present job has
        self._known: Dict[bytes, str] = {}
        self._found: List[str] = []  # by programs that the job starts
        self._held: List[int] = []  # what locks the places, as long as the worker lives
        self._startup = startup
        self._active: List[bytes] = []

    def add(self, places: Mapping[bytes, str], held: Sequence[int]) -> None:
        """Keeps their locks at descriptors that a job does not meet by counting, and
        lets programs that the job starts find the modules."""
        self._held += [system.keep_descriptor(fd) for fd in held]
        for digest, place in places.items():
            if digest not in self._known and has_modules(place):
                self._found.insert(0, place)
        self._known.update(places)
        if self._found:
            os.environ["PYTHONPATH"] = os.pathsep.join([*self._found, *_own_place()])

    def find(self, name: str) -> Optional[str]:
        """What one of the present set's bundles has besides modules."""
        paths = (os.path.join(place, name) for place in self.places.values())
        return next(filter(os.path.lexists, paths), None)

    def activate(self, digest: bytes) -> None:
        """Puts a bundle first on sys.path. Conflict: it needs another process."""
        if digest in self._active:
            return
        place = self.places[digest]
        earlier = [self._known[other] for other in self._active]
        loaded = _loaded_from(earlier) if earlier else {}
        # Within one set the first to be loaded counts: no other process does better.
        _check_against(
            place,
            [self._known[other] for other in self._active if other not in self.places],
        )
        self._active.append(digest)
        sys.path.insert(0, place)
        importlib.invalidate_caches()
        self._unload_namesakes(place, earlier)
        _widen_packages(place, loaded)
        _show_sources(os.path.join(place, _SOURCES))

    def _unload_namesakes(self, place: str, earlier: Sequence[str]) -> None:
        """Forgets modules that only the runtime has imported where the bundle has one
        of the same name: where the job was written the user's directory came first."""
        for entry in os.listdir(place):
            name = entry[:-3] if entry.endswith(".py") else entry
            if (
                name in sys.modules
                and name not in self._startup
                and name != "understudy"
                and _place_of(sys.modules[name], earlier) is None
            ):
                for loaded in list(sys.modules):
                    if loaded == name or loaded.startswith(name + "."):
                        del sys.modules[loaded]

    def relative(self, filename: str) -> str:
        """The path of a file within its bundle; unchanged where it is in none."""
        for place in self._known.values():
            if (
                filename.startswith(place)
                and filename[len(place) : len(place) + 1] == "/"
            ):
                return filename[len(place) + 1 :]
        return filename


# --- Several bundles in one process ---------------------------------------------------


def _place_of(module: ModuleType, places: Sequence[str]) -> Optional[str]:
    """The one of these bundles that a module was loaded from."""
    names = [getattr(module, "__file__", None), *_folders(module)]
    for place in places:
        if any(isinstance(n, str) and n.startswith(place + os.sep) for n in names):
            return place
    return None


def _folders(module: ModuleType) -> List[str]:
    try:
        return list(getattr(module, "__path__", None) or ())
    except Exception:  # a path of the module's own making
        return []


def _loaded_from(places: Sequence[str]) -> Dict[str, ModuleType]:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and _place_of(module, places)
    }


def _check_against(place: str, earlier: Sequence[str]) -> None:
    """Conflict unless all that is loaded is in the new bundle what it was. Files that
    are not modules are found beside those that are, and have to be there already."""
    loaded = _loaded_from(earlier) if earlier else {}
    if not loaded:
        return
    tops = {name.partition(".")[0] for name in loaded}
    for other in earlier:
        if not os.path.isdir(other):
            raise Conflict(f"{other} was removed")
    for name in _files(place):
        top = name.partition(os.sep)[0]
        if (top[:-3] if top.endswith(".py") else top) not in tops:
            continue
        with open(os.path.join(place, name), "rb") as stream:
            content = stream.read()
        others = [_content(os.path.join(other, name)) for other in earlier]
        there = [other for other in others if other is not None]
        if any(other != content for other in there) or not (
            there or name.endswith(".py")
        ):
            raise Conflict(f"{name} is another file than the one that is loaded")


def _files(place: str) -> Iterator[str]:
    for folder, folders, names in os.walk(place):
        folders[:] = [each for each in folders if each not in _NO_MODULES]
        for name in names:
            if name in _NO_MODULES:
                continue
            yield os.path.relpath(os.path.join(folder, name), place)


def _content(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None


def _widen_packages(place: str, loaded: Mapping[str, ModuleType]) -> None:
    """Lets loaded packages find the submodules that the new bundle has besides."""
    for name, module in loaded.items():
        path = getattr(module, "__path__", None)
        folder = os.path.join(place, *name.split("."))
        if type(path) is list and folder not in path and os.path.isdir(folder):
            path.append(folder)


def has_modules(place: str) -> bool:
    """Whether the bundle there has code of the program's."""
    return bool(set(os.listdir(place)).difference(_NO_MODULES, {"cloudpickle"}))


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
