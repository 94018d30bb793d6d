# SPDX-License-Identifier: MIT
"""From the code in a call envelope to something that can be called.

What has been found is kept by the bytes of its code, so that a repeated call costs one
comparison. Not kept is what a call may change and the next must not see: a function by
value that brings state of its own, such as a closure.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import linecache
import os
import pickle
import sys
from types import FunctionType, ModuleType
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from understudy import _buffers, _by_value, _running
from understudy._context import NOT_IN_A_JOB, give_logger
from understudy._envelope import (
    Dumps,
    Loads,
    check_python,
    decode_args,
    malformed,
    plain_loads,
    plain_pickle,
    split_call,
)
from understudy._worker import bundles, program
from understudy._wrapper import Wrapper
from understudy.exceptions import UnderstudyError

_KEPT = 256
_NO_ARGS = b"\x92\xa1m\xc4\x03\x92\x90\x80"  # ["m", [[], {}]]
_SOURCE = "understudy_source_"
_SUBMITTING = frozenset(
    f"understudy.{name}" for name in ("_core", "_call", "_serialize", "_pickler")
)
_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes)


class Target:
    """What a call's code stands for, with the pickling that belongs to it. loads: for
    arguments. check: to see whether a pickle loads; changes nothing."""

    __slots__ = (
        "check",
        "dumps",
        "function",
        "is_whole",
        "loads",
        "owner",
        "pid",
        "prefix",
    )

    def __init__(
        self, function: Callable[..., Any], dumps: Dumps, loads: Loads, check: Loads
    ) -> None:
        self.function = function
        self.dumps = dumps
        self.loads = loads
        self.check = check
        self.owner = _owner(function)
        self.pid = os.getpid()
        self.prefix = b""
        self.is_whole = False  # its result does not leave out buffers

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return _running.call(self.function, args, kwargs, self.pid)

    def equip(self, args: Sequence[Any]) -> None:
        """Where it is a method: its instance gets a logger."""
        if self.owner and args:
            for cls in type(args[0]).__mro__:
                if cls.__qualname__ == self.owner:
                    give_logger(args[0])
                    return


class _Refusal:
    """Among sys.meta_path: what submits is not for jobs, and says so."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name in _SUBMITTING:
            raise UnderstudyError(NOT_IN_A_JOB)


class Calls:
    def __init__(self, path: bundles.SearchPath) -> None:
        self._path = path
        if _Refusal not in sys.meta_path:
            sys.meta_path.insert(0, _Refusal)
        program.install()
        self.before_load: Callable[[], object] = lambda: None
        self._preset: Dict[str, Any] = {}  # globals that the initializer has set
        self._kept: Dict[Tuple[Optional[bytes], bytes], Target] = {}
        self._last: Optional[Target] = None
        self._places: Optional[Mapping[bytes, str]] = None  # the last job's bundles
        self._own: Optional[bytes] = None  # the cloudpickle among them
        self._cloudpickles: Dict[bytes, Dict[str, ModuleType]] = {}

    def find(self, body: bytes) -> Target:
        """The target of a call envelope. Whatever the code raises comes through."""
        if self._places is not self._path.places:
            self._change_places()
        last = self._last
        # No encoding of one object is the beginning of another's: a prefix is enough.
        if last is not None and body.startswith(last.prefix):
            return last
        code, text, end = split_call(body)
        key = self._own, text
        target = self._kept.get(key)
        if target is None:
            self.before_load()
            target = self._resolve(code)
            if _is_stateless(target.function) or "pickle" not in code:
                self._keep(key, target)
        target.prefix = body[:end]
        self._last = target if key in self._kept else None
        return target

    def _change_places(self) -> None:
        """The same code may come again with a cloudpickle beside it, for its arguments,
        and then is another target."""
        self._places = self._path.places
        self._own = self._find_cloudpickle({})
        self._last = None

    @staticmethod
    def args(
        target: Target, body: bytes, buffers: Sequence[Any] = ()
    ) -> Tuple[Sequence[Any], Mapping[str, Any]]:
        data = body[len(target.prefix) :]
        if data == _NO_ARGS:
            return (), {}
        return decode_args(data, target.loads, buffers)

    def _keep(self, key: Tuple[Optional[bytes], bytes], target: Target) -> None:
        if len(self._kept) >= _KEPT:
            self._kept.clear()
            self._last = None
            for name in [name for name in sys.modules if name.startswith(_SOURCE)]:
                del sys.modules[name]
        self._kept[key] = target

    def _resolve(self, code: Mapping[str, Any]) -> Target:
        if "pickle" in code:
            return self._by_value(code)
        if "source" in code:
            return self._from_source(code)
        if "bundle" not in code:
            malformed("code is neither bundle, source nor pickle")
        return self._from_bundle(code)

    # --- Functions by name ------------------------------------------------------------

    def _from_bundle(self, code: Mapping[str, Any]) -> Target:
        self._activate(_field(code, "bundle", bytes))
        module_name, colon, qualname = _field(code, "function", str).partition(":")
        if not (module_name and colon and qualname):
            malformed("a function is module:qualname")
        module = importlib.import_module(module_name)
        dumps, loads, check = self._pickling(code)
        return Target(_lookup(module, qualname), dumps, loads, check)

    def _activate(self, digest: bytes) -> None:
        if digest not in self._path.places:
            malformed("the bundle is not among the job's blobs")
        self._path.activate(digest)

    # --- Functions of a file's text ---------------------------------------------------

    def _from_source(self, code: Mapping[str, Any]) -> Target:
        source = _field(code, "source", str)
        for digest in reversed(list(self._path.places)):
            if not bundles.is_cloudpickle(self._path.places[digest]):
                self._path.activate(digest)
        module = _source_module(source)
        function = _lookup(module, _field(code, "function", str))

        def dumps(
            obj: Any, apart: Optional[_buffers.Apart] = None
        ) -> Tuple[bytes, bool]:
            data, _ = plain_pickle(obj, apart)
            if module.__name__.encode() in data:
                raise pickle.PicklingError("its class is in the job's source text only")
            return data, False

        made = Target(function, dumps, plain_loads, plain_loads)
        made.is_whole = True  # whoever sends source text may be no Python program
        return made

    # --- Functions by value -----------------------------------------------------------

    def _by_value(self, code: Mapping[str, Any]) -> Target:
        check_python(_field(code, "python", str), "function")
        if "bundle" in code:
            self._activate(_field(code, "bundle", bytes))
        dumps, loads, check = self._pickling(code)
        function = loads(_field(code, "pickle", bytes))
        if not callable(function) and not hasattr(function, "__wrapped__"):
            raise TypeError(f"{type(function).__name__} object is not callable")
        function = _unwrap(function)
        _globals_of(function).update(self._preset)
        return Target(function, dumps, loads, check)

    def set_up(self, body: bytes) -> None:
        """Calls the initializer of a program. What it sets in the program's globals
        holds for all functions that come by value; they bring what the caller has."""
        target = self.find(body)
        args, kwargs = self.args(target, body)
        names = _globals_of(target.function)
        before = dict(names)
        target.call(args, kwargs)
        self._preset = {
            name: value
            for name, value in names.items()
            if name not in before or before[name] is not value
        }

    def prepare(self, places: Mapping[bytes, str]) -> None:
        """Does ahead what the first job with these bundles will need, but for the
        import of its modules: a worker that waits for its job has time for it."""
        for digest, place in places.items():
            if bundles.is_cloudpickle(place):
                self._load_cloudpickle(digest, place)
        code = [d for d, place in places.items() if bundles.has_modules(place)]
        if len(code) == 1:  # where there are more, their order is the job's
            self._path.places = dict(places)
            self._path.activate(code[0])

    def _load_cloudpickle(self, digest: bytes, place: str) -> Dict[str, ModuleType]:
        modules = self._cloudpickles.get(digest)
        if modules is None:
            modules = bundles.import_aside(place, "cloudpickle")
            self._cloudpickles[digest] = modules
        return modules

    def _pickling(self, code: Mapping[str, Any]) -> Tuple[Dumps, Loads, Loads]:
        digest = self._find_cloudpickle(code)
        if digest is None:
            return plain_pickle, plain_loads, plain_loads
        place = self._path.places[digest]
        return _cloudpickling(self._load_cloudpickle(digest, place), place)

    def _find_cloudpickle(self, code: Mapping[str, Any]) -> Optional[bytes]:
        if "cloudpickle" in code:
            digest: bytes = _field(code, "cloudpickle", bytes)
            if digest not in self._path.places:
                malformed("the cloudpickle is not among the job's blobs")
            return digest
        return next(
            (d for d, p in self._path.places.items() if bundles.is_cloudpickle(p)), None
        )


def _field(code: Mapping[str, Any], name: str, kind: type) -> Any:
    value = code.get(name)
    if type(value) is not kind:
        malformed(f"{name} of the code")
    return value


def _lookup(module: ModuleType, qualname: str) -> Callable[..., Any]:
    """Looks past descriptors, which would bind or submit what they are asked for."""
    found: Any = module
    for part in qualname.split("."):
        try:
            if isinstance(found, type):
                found = inspect.getattr_static(found, part)
            else:
                found = getattr(found, part)
        except AttributeError:
            raise AttributeError(
                f"module {module.__name__} has no function {qualname}"
            ) from None
    found = _unwrap(found)
    if not callable(found):
        raise TypeError(f"{module.__name__}:{qualname} is not a function")
    return found  # type: ignore[no-any-return]


def _unwrap(found: Any) -> Any:
    """The plain function in our own wrapper and in static and class methods: a method
    takes its instance as first argument, a class method its class. Wrappers of other
    decorators stay: what they do is part of the function."""
    while True:
        if isinstance(found, (staticmethod, classmethod)):
            found = found.__func__
        elif isinstance(found, Wrapper):
            found = found.__wrapped__
        else:
            return found


def _globals_of(function: Any) -> Dict[str, Any]:
    """Those of the program, where a function came from it by value."""
    names = getattr(_by_value.unwrap(function), "__globals__", None)
    if isinstance(names, dict) and names.get("__name__") in _by_value.MAIN:
        return names
    return {}


def _owner(function: Callable[..., Any]) -> str:
    """Qualified name of the class that a method belongs to; else empty."""
    qualname = getattr(function, "__qualname__", "")
    if type(function) is not FunctionType or type(qualname) is not str:
        return ""
    owner = qualname.rpartition(".")[0]
    return "" if owner.endswith("<locals>") else owner


def _is_stateless(function: Any) -> bool:
    if isinstance(function, _by_value.LRU):
        function = function.__wrapped__
    return (
        type(function) is FunctionType
        and not function.__closure__
        and not function.__kwdefaults__
        and all(type(value) in _IMMUTABLE for value in function.__defaults__ or ())
    )


def _source_module(source: str) -> ModuleType:
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    name, filename = _SOURCE + digest, f"<source {digest}>"
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    module = ModuleType(name)
    module.__file__ = filename
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
    sys.modules[name] = module
    try:
        exec(compile(source, filename, "exec"), module.__dict__)  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _cloudpickling(
    modules: Dict[str, ModuleType], place: str
) -> Tuple[Dumps, Loads, Loads]:
    """Pickling with the client's cloudpickle, which goes by its own name in the pickles
    and is to be found under it only while they are made or read. The first of the two
    that load takes the caller's classes as they are now; the other changes nothing."""
    cloudpickle = modules["cloudpickle"]
    pickler = _by_value.pickler_class(cloudpickle)
    # What came by value goes by value: for a pickle there is no program here.
    names = {**modules, "__main__": ModuleType("__main__")}

    def dumps(obj: Any, apart: Optional[_buffers.Apart] = None) -> Tuple[bytes, bool]:
        with bundles.shadowed(names):
            try:
                return plain_pickle(obj, apart)
            except Exception:
                if apart is not None:
                    apart.forget()
                return _by_value.dumps(pickler, obj, apart)

    def loads(data: bytes, buffers: Sequence[Any] = ()) -> Any:
        with bundles.shadowed(modules):
            unpickler = _by_value.Unpickler(data, cloudpickle, False, buffers)
            loaded = unpickler.load()
        if unpickler.made:
            program.publish([*unpickler.made, loaded], dumps, place)
        return loaded

    def check(data: bytes) -> Any:
        with bundles.shadowed(modules):
            return _by_value.Unpickler(data, cloudpickle, keeps=True).load()

    return dumps, loads, check
