# SPDX-License-Identifier: MIT
"""Pickling by value, on both ends: what cloudpickle does, and what it leaves out.

Client and worker make their pickler and unpickler here, each over the cloudpickle that
it was given: the client over the installed one, the worker over the one that came with
the job. Added to cloudpickle are: decorated functions, functions under lru_cache or
singledispatch, cached properties, context variables, objects that pickle as a name of
the program itself, and file names in code objects.

A class or such an object has a key that stays the same wherever it travels. Whoever
loads it and has it already gets its own. The worker then takes over the state that the
caller's class has now; the caller keeps its class as it is.
"""

from __future__ import annotations

import contextvars
import copyreg
import enum
import functools
import importlib
import io
import pickle
import struct
import sys
import threading
import types
import typing
import uuid
import weakref
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from understudy import _buffers, _context
from understudy._envelope import PICKLE_PROTOCOL
from understudy._wrapper import BoundWrapper, Wrapper
from understudy.exceptions import SerializationError

# What multiprocessing spawns knows the program's own module by another name, under
# which no other process could import it.
MAIN = ("__main__", "__mp_main__")

LRU = type(functools.lru_cache(lambda: None))
_MISSING = object()


# --- objects that have a key ----------------------------------------------------------

_objects: Dict[str, Any] = {}
_keys: Dict[int, str] = {}  # by id; _objects keeps the object, so its id, alive
_new: Dict[str, Any] = {}  # made by a load that has not set their state yet


def _key_of(obj: Any) -> str:
    key = _keys.get(id(obj))
    if key is None:
        key = uuid.uuid4().hex
        _remember(key, obj)
    return key


def _remember(key: str, obj: Any) -> None:
    _objects[key] = obj
    _keys[id(obj)] = key


def tracked(key: str, make: Callable[..., Any], *args: Any) -> Any:
    """The object of this key, which is made if this process does not have it yet."""
    obj = _objects.get(key, _MISSING)
    if obj is _MISSING:
        obj = _new[key] = make(*args)
        _remember(key, obj)
    return obj


def set_state(obj: Any, state: Tuple[str, Dict[str, Any]]) -> None:
    """Gives an object that tracked has just made its attributes."""
    key, attributes = state
    if _new.pop(key, _MISSING) is not _MISSING:
        for name, value in attributes.items():
            object.__setattr__(obj, name, value)


def make_bare(cls: Any) -> Any:
    return cls.__new__(cls)


# --- context variables ----------------------------------------------------------------

_Variable = contextvars.ContextVar[Any]
_variables: Dict[str, Tuple[_Variable, Tuple[Any, ...]]] = {}


def make_variable(key: str, name: str, *value: Any) -> _Variable:
    """The variable of this key, with the caller's value as its default. A default never
    changes, so another value makes another variable."""
    own = _objects.get(key)
    if own is not None:
        return own  # type: ignore[no-any-return]
    known = _variables.get(key)
    if known is None or not _are_equal(known[1], value):
        variable: _Variable = contextvars.ContextVar(
            name, **({"default": value[0]} if value else {})
        )
        known = _variables[key] = (variable, value)
        _keys[id(variable)] = key
    return known[0]


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # values may compare as they like
        return False


def _reduce_variable(pickler: Pickler, obj: _Variable) -> Any:
    place = _place_of(obj, obj.name)
    if place is not None:
        pickler.uses(place[0])
        return getattr, (sys.modules[place[0]], place[1])
    value = obj.get(_MISSING)
    if value is _MISSING:
        try:
            value = contextvars.Context().run(obj.get)
        except LookupError:
            pass
    given = () if value is _MISSING else (value,)
    return make_variable, (_key_of(obj), obj.name, *given)


def _place_of(obj: Any, name: str) -> Optional[Tuple[str, str]]:
    """Module and name of an object that does not know where it stands."""
    modules = [(m, vars(v)) for m, v in list(sys.modules.items()) if _is_module(m, v)]
    for module, names in modules:
        if names.get(name) is obj:
            return module, name
    for module, names in modules:
        for attribute, value in list(names.items()):
            if value is obj:
                return module, attribute
    return None


def _is_module(name: str, module: Any) -> bool:
    return isinstance(module, types.ModuleType) and name not in MAIN


# --- modules that may not be needed ---------------------------------------------------


class _Absent(types.ModuleType):
    """Stands for a module that is missing where it was only mentioned. To use it is to
    miss it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        missing = self.__name__
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)


def find_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        return _Absent(name)


# --- functions and methods ------------------------------------------------------------


def make_cached(function: Any, maxsize: Optional[int], typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


def _reduce_cached(pickler: Pickler, obj: Any) -> Any:
    name = obj.__reduce__()
    if pickler.can_name(obj, name):
        return name
    found = obj.cache_parameters()
    return make_cached, (obj.__wrapped__, found["maxsize"], found["typed"])


def make_property(cls: Any) -> Any:
    made = cls.__new__(cls)
    made.lock = threading.RLock()
    return made


def _reduce_property(pickler: Pickler, obj: Any) -> Any:
    state = dict(vars(obj))
    if state.pop("lock", None) is None:
        return NotImplemented  # from Python 3.12 on it has none
    return make_property, (type(obj),), state


_DISPATCHER = functools.singledispatch(lambda value: None).__code__  # type: ignore[attr-defined]


def register_all(dispatcher: Any, registry: List[Tuple[type, Any]]) -> None:
    for cls, function in registry:
        dispatcher.register(cls, function)


def reduce_dispatcher(obj: types.FunctionType) -> Any:
    """Of functools.singledispatch; its cache has weak references and stays behind."""
    registry = obj.registry  # type: ignore[attr-defined]
    others = [(cls, impl) for cls, impl in registry.items() if cls is not object]
    make = functools.singledispatch
    return make, (registry[object],), others, None, None, register_all


def is_dispatcher(obj: types.FunctionType) -> bool:
    return obj.__code__ is _DISPATCHER


# --- classes made by more than a class statement --------------------------------------


def _with_bases(cls: Any, reduced: Any) -> Any:
    """A typing.NamedTuple on what it really inherits: cloudpickle would repeat its
    class statement, which needs the fields that are only set afterwards."""
    if type(reduced) is not tuple or len(reduced) != 6:
        return reduced
    make, (kind, name, _, *rest), *others = reduced
    return (make, (kind, name, cls.__bases__, *rest), *others)


# --- enumerations ---------------------------------------------------------------------


def _with_members(cls: Any, reduced: Any) -> Any:
    """An enumeration together with the attributes of its members, which its __init__
    has set; there it is not there yet when they are made."""
    if type(reduced) is not tuple or len(reduced) != 6:
        return reduced
    make, args, state, _, _, setter = reduced
    attributes = {
        member.name: {k: v for k, v in vars(member).items() if not k.startswith("_")}
        for member in cls
    }
    if not any(attributes.values()):
        return reduced
    return make, args, (setter, state, attributes), None, None, set_members


def set_members(cls: Any, state: Any) -> None:
    setter, own, attributes = state
    setter(cls, own)
    for name, values in attributes.items():
        there = vars(cls[name])
        for key, value in values.items():
            there.setdefault(key, value)


# --- other objects --------------------------------------------------------------------


def _reduce_weak(pickler: Pickler, obj: Any) -> Any:
    return type(obj), (dict(obj),)


def _reduce_local(pickler: Pickler, obj: Any) -> Any:
    """Another process is another thread, too: it finds the object empty."""
    return type(obj), ()


def _reduce_struct(pickler: Pickler, obj: struct.Struct) -> Any:
    return struct.Struct, (obj.format,)


def _reduce_type_variable(pickler: Pickler, obj: Any) -> Any:
    name = obj.__name__
    if pickler.can_name(obj, name):
        return name
    return tracked, (_key_of(obj), type(obj), name)


_RULES: Dict[type, Callable[[Any, Any], Any]] = {
    LRU: _reduce_cached,
    contextvars.ContextVar: _reduce_variable,
    functools.cached_property: _reduce_property,
    weakref.WeakKeyDictionary: _reduce_weak,
    weakref.WeakValueDictionary: _reduce_weak,
    threading.local: _reduce_local,
    struct.Struct: _reduce_struct,
}
for _name in ("ParamSpec", "TypeVarTuple"):
    if hasattr(typing, _name):
        _RULES[getattr(typing, _name)] = _reduce_type_variable


def find(module: str, qualname: str) -> Any:
    """What stands under this name now, or None."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def unwrap(obj: Any) -> Any:
    """The plain function in a wrapper or a bound method; anything else as it is."""
    while True:
        if isinstance(obj, Wrapper):
            obj = obj.__wrapped__
        elif isinstance(obj, (types.MethodType, BoundWrapper)):
            obj = obj.__func__
        else:
            return obj


# --- pickling -------------------------------------------------------------------------


class Pickler:
    """Mixed into the pickler of a cloudpickle by pickler_class."""

    has_code = False
    _reduces: Dict[type, bool] = {}

    def uses(self, module: str) -> None:
        """Something goes as a name in this module."""

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(self, obj)
        if kind is types.CodeType:
            self.has_code = True
            return self.code(obj)
        if kind is types.FunctionType:
            return self.function(obj)
        if isinstance(obj, type):
            return self.cls(obj)
        if isinstance(obj, Wrapper):
            return obj._reduce_by_value()
        if isinstance(obj, functools.cached_property):
            return _reduce_property(self, obj)
        return self.other(obj, kind)

    def base(self, obj: Any) -> Any:
        return super().reducer_override(obj)  # type: ignore[misc]

    def cls(self, obj: type) -> Any:
        reduced = self.base(obj)
        if isinstance(obj, enum.EnumMeta):
            return _with_members(obj, reduced)
        if typing.NamedTuple in vars(obj).get("__orig_bases__", ()):
            return _with_bases(obj, reduced)
        return reduced

    def function(self, obj: types.FunctionType) -> Any:
        reduced = self.base(obj)
        if reduced is not NotImplemented and is_dispatcher(obj):
            return reduce_dispatcher(obj)
        return reduced

    def code(self, obj: types.CodeType) -> Any:
        """With its file, which newer cloudpickles leave out."""
        make, args = self.dispatch_table[types.CodeType](obj)  # type: ignore[attr-defined]
        return make, tuple(
            obj.co_filename if type(part) is str and part == "<dynamic-code>" else part
            for part in args
        )

    def other(self, obj: Any, kind: type) -> Any:
        """Objects that pickle as they like: some do as a name."""
        reduces = self._reduces.get(kind)
        if reduces is None:
            reduces = self._reduces[kind] = _reduces_itself(kind)
        if not reduces:
            return NotImplemented
        reduce = copyreg.dispatch_table.get(kind)
        if reduce is None:
            if kind in self.dispatch_table:  # type: ignore[attr-defined]
                return NotImplemented  # cloudpickle knows better
            reduced = obj.__reduce_ex__(PICKLE_PROTOCOL)
        else:
            reduced = reduce(obj)
        if type(reduced) is not str or self.can_name(obj, reduced):
            return reduced
        module = pickle.whichmodule(obj, reduced)  # type: ignore[attr-defined]
        if module not in MAIN and id(obj) not in _keys:
            return reduced
        key = _key_of(obj)
        attributes = dict(getattr(obj, "__dict__", {}))
        state = (key, attributes)
        return tracked, (key, make_bare, kind), state, None, None, set_state

    def can_name(self, obj: Any, name: str) -> bool:
        """Whether an object is found under this name where the pickle is loaded."""
        module = pickle.whichmodule(obj, name)  # type: ignore[attr-defined]
        if module in MAIN or find(module, name) is not obj:
            return False
        self.uses(module)
        return True


def _reduces_itself(kind: Any) -> bool:
    if kind.__module__ in ("understudy._executor", "understudy._result"):
        raise SerializationError(_context.NOT_IN_A_JOB)
    return (
        kind in copyreg.dispatch_table
        or kind.__reduce__ is not object.__reduce__
        or kind.__reduce_ex__ is not object.__reduce_ex__
    )


def pickler_class(cloudpickle: Any) -> type:
    """A pickler over this cloudpickle."""
    return type("ValuePickler", (Pickler, cloudpickle.CloudPickler), {})


@functools.lru_cache(maxsize=16)
def apart_class(pickler: type) -> type:
    """The same pickler, for what holds large bytes."""
    return type("ApartPickler", (_buffers.Bytes, pickler), {})


def make_pickler(
    pickler: type, file: io.BytesIO, apart: Optional[_buffers.Apart], *args: Any
) -> Any:
    """One that leaves out what is to go apart. args: further ones of the pickler."""
    if apart is not None and apart.holds_bytes:
        pickler = apart_class(pickler)
    made = pickler(file, *args, buffer_callback=apart)
    made.apart = apart
    return made


def dumps(
    pickler: type, obj: Any, apart: Optional[_buffers.Apart] = None
) -> Tuple[bytes, bool]:
    file = io.BytesIO()
    made = make_pickler(pickler, file, apart, PICKLE_PROTOCOL)
    made.dump(obj)
    return file.getvalue(), made.has_code


# --- loading --------------------------------------------------------------------------

_half_made: Dict[str, type] = {}  # classes whose state a load has not set yet


class Unpickler(_buffers.Rebuild, pickle.Unpickler):
    """Loads what a pickler over this cloudpickle has made. keeps: classes that are here
    already stay as they are. made: what was made of functions and classes."""

    def __init__(
        self, data: bytes, cloudpickle: Any, keeps: bool, buffers: Sequence[Any] = ()
    ) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._trackers = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
        self._keeps = keeps
        self._own: Dict[int, type] = {}
        self.made: List[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module.startswith("cloudpickle."):
            if name in ("_make_skeleton_class", "_make_skeleton_enum"):
                return functools.partial(self._make_class, found)
            if name == "_class_setstate":
                return functools.partial(self._set_class_state, found)
            if name == "_make_function":
                return functools.partial(self._make_function, found)
        return found

    def _make_function(self, make: Callable[..., Any], *args: Any) -> Any:
        made = make(*args)
        self.made.append(made)
        return made

    def _make_class(self, make: Callable[..., Any], *args: Any) -> Any:
        key = args[-2]
        known = self._trackers.get(key)
        if known is None or key in _half_made:
            known = make(*args)
            _half_made[key] = known
        elif self._keeps:
            self._own[id(known)] = known
        self.made.append(known)
        return known

    def _set_class_state(
        self, set_state: Callable[..., Any], cls: Any, state: Any
    ) -> Any:
        if id(cls) in self._own:
            return cls
        try:
            return set_state(cls, state)
        finally:
            for key, half_made in list(_half_made.items()):
                if half_made is cls:
                    del _half_made[key]
