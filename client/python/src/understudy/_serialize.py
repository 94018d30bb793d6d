# SPDX-License-Identifier: MIT
"""From a function and its arguments to the body of a job and the blobs it needs.

What does not change between calls is made once for each function (Code): the envelope
of the code and the bundle, as they were when the function was first called. A function
that travels by value is pickled again when something it captured may have changed.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import types
from collections import OrderedDict
from typing import (
    Any,
    Dict,
    FrozenSet,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    cast,
)

import cloudpickle

from understudy import _buffers, _bundle, _core, _envelope, _pickler
from understudy._bundle import Need
from understudy._by_value import unwrap
from understudy._msgpack import NotPlain
from understudy.exceptions import (
    PayloadTooLarge,
    PythonVersionError,
    SerializationError,
)

_NO_ARGUMENTS = _envelope.encode_plain([[], {}])
_FROZEN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type,
    types.ModuleType,
    re.Pattern,
)
_ABSENT = object()
_WIDER_KEPT = 16  # for each function
_NOTHING: Sequence[memoryview] = ()


class Body(NamedTuple):
    """What is submitted."""

    data: bytes
    blobs: Tuple[_core.Blob, ...]
    python: Optional[str]  # the minor version it needs, if any
    setup: Optional[_core.Blob] = None  # sets its worker up
    buffers: Tuple[_core.Blob, ...] = ()  # of its arguments

    def check_buffers(self, limits: Optional[_buffers.Limits], what: str) -> None:
        if self.buffers and limits is not None:
            _buffers.check([blob.size for blob in self.buffers], limits, what)


class Code:
    """One function, ready to travel."""

    def __init__(self, function: Any, packages: Sequence[str]) -> None:
        self.function = function
        self.packages = packages
        self.with_code: bool  # code objects travel: cloudpickle does too
        self.target = _pickler.importable_name(function)
        self.name = _display_name(function)
        if self.target is None:
            self._by_value()
        else:
            self._by_name(self.target)
        self._wider: OrderedDict[Tuple[Any, ...], Code] = OrderedDict()

    # --- making -----------------------------------------------------------------------

    def _by_name(self, target: Tuple[str, str]) -> None:
        module, qualname = target
        self.captured: Optional[List[Tuple[Any, Any, Any]]] = []
        self.payload = b""
        self.with_code = False
        self.needs: Tuple[Need, ...] = (Need(module),)
        self.sources: FrozenSet[str] = frozenset()
        self._pack(qualname)

    def _by_value(self) -> None:
        plain = unwrap(self.function)
        root = plain if isinstance(plain, types.FunctionType) else None
        try:
            pickled = _pickler.dumps(self.function if root is None else root, root)
        except SerializationError:
            raise
        except Exception as error:
            raise SerializationError(
                f"{self.name} cannot be serialised: {error or type(error).__name__}"
            ) from error
        self.captured = None if root is None else _captured(root)
        self.payload = pickled.data
        self.with_code = True
        self.needs = pickled.needs
        self.sources = pickled.sources
        self._pack()

    def _pack(self, function: str = "") -> None:
        """function: qualified name, where it goes by name."""
        self.generation = _bundle.generation()
        bundle = _bundle.gather(self.needs, self.packages, function, self.sources)
        self.modules = bundle.modules
        blobs: List[_core.Blob] = []
        if bundle.files or self.target is not None:
            blobs.append(_blob(_envelope.encode_bundle(bundle.files)))
        digest = blobs[0].digest if blobs else None
        if self.with_code:
            blobs.append(_cloudpickle())
        if self.target is not None and digest is not None:
            code = _envelope.code_bundle(digest, ":".join(self.target))
        else:
            code = _envelope.code_pickle(self.payload, blobs[-1].digest, digest)
        self.head = _envelope.call_head(code)
        self.blobs = tuple(blobs)
        self.python = _envelope.PYTHON if self.with_code else None

    def _widened(self, pickled: _pickler.Pickled) -> Code:
        """The same function for arguments that need more modules, or code by value."""
        more = [need for need in pickled.needs if need.module not in self.modules]
        with_code = pickled.has_code or self.with_code
        sources = self.sources | pickled.sources
        if not more and with_code == self.with_code and sources == self.sources:
            return self
        key = (frozenset(need.module for need in more), with_code, sources)
        wider = self._wider.pop(key, None)
        if wider is None:
            wider = object.__new__(Code)
            wider.__dict__.update(self.__dict__)
            wider.with_code = with_code
            wider.needs = (*self.needs, *more)
            wider.sources = sources
            wider._pack(self.target[1] if self.target else "")
        self._wider[key] = wider  # the last to be dropped
        if len(self._wider) > _WIDER_KEPT:
            self._wider.popitem(last=False)
        return wider

    # --- using ------------------------------------------------------------------------

    def is_fresh(self) -> bool:
        """Whether all that the function captured is as it was when it was pickled, and
        the program runs the modules that were bundled."""
        if self.generation != _bundle.generation():
            return False
        captured = self.captured
        if not captured:
            return captured is not None
        return all(_look(holder, key) is value for holder, key, value in captured)

    def body(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], python: Optional[str]
    ) -> Body:
        code, apart = self, _NOTHING
        if not args and not kwargs:
            data = _NO_ARGUMENTS
        elif (kwargs or not _buffers.are_small(args)) and _buffers.holds_bytes(
            (args, kwargs)
        ):
            code, data, apart = self._pickled(args, kwargs, True)
        else:
            try:
                data = _envelope.encode_plain([list(args), kwargs])
            except NotPlain:
                code, data, apart = self._pickled(args, kwargs, False)
        if code.python is not None and python not in (None, code.python):
            raise PythonVersionError(
                f"{self.name} goes by value, as code of Python {code.python}, and "
                f"python={python!r} was asked for: move it to a module, or drop python="
            )
        head, python = code.head, python or code.python
        if not apart:
            return Body(head + data, code.blobs, python)
        buffers = tuple(map(_core.Blob, apart))
        data = _envelope.with_buffers(head) + data
        return Body(data, code.blobs, python, buffers=buffers)

    def _pickled(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], holds_bytes: bool
    ) -> Tuple[Code, bytes, Sequence[memoryview]]:
        both = tuple(args), dict(kwargs)
        apart = _buffers.Apart(holds_bytes)
        try:
            pickled = _pickler.dumps(both, apart=apart)
            fewer = apart.of_largest(_buffers.ROOM)
            if fewer is not None:
                apart = fewer
                pickled = _pickler.dumps(both, apart=apart)
        except Exception as error:
            raise self._unpicklable(args, kwargs, error) from error
        try:
            code = self._widened(pickled)
        except SerializationError as error:
            raise SerializationError(f"arguments of {self.name}: {error}") from None
        if apart.taken:
            data = _envelope.encode_apart(pickled.data, pickled.has_code, apart.taken)
        else:
            data = _envelope.encode_pickle(pickled.data, pickled.has_code)
        return code, data, apart.taken

    # --- explaining -------------------------------------------------------------------

    def _unpicklable(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], error: Exception
    ) -> SerializationError:
        place, culprit, reason = "the arguments", None, error
        for name, value in self._named(args, kwargs):
            try:
                _pickler.dumps(value)
            except SerializationError as problem:  # which says what is wrong
                place, culprit, reason = name, value, problem
                break
            except Exception as problem:
                place, culprit, reason = _envelope.find_unpicklable(
                    value, _dumps, name, problem
                )
                break
        kind = "" if culprit is None else f" (type {_type_name(culprit)})"
        return SerializationError(
            f"{place}{kind} of {self.name} cannot be serialised: "
            f"{str(reason) or type(reason).__name__}"
        )

    def _named(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> List[Tuple[str, Any]]:
        names: List[str] = []
        try:
            signature = inspect.signature(unwrap(self.function))
            for name, parameter in signature.parameters.items():
                if parameter.kind in (
                    inspect.Parameter.POSITIONAL_ONLY,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                ):
                    names.append(name)
        except (TypeError, ValueError):
            pass
        named = [
            (names[i] if i < len(names) else f"argument {i + 1}", value)
            for i, value in enumerate(args)
        ]
        return named + list(kwargs.items())

    def check_buffers(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        body: Body,
        limits: Optional[_buffers.Limits],
    ) -> None:
        """Names the argument whose buffer is over the limit."""
        try:
            body.check_buffers(limits, f"the arguments of {self.name}")
        except PayloadTooLarge as error:
            for name, value in self._named(args, kwargs):
                apart = _buffers.Apart(_buffers.holds_bytes(value))
                _dumps(value, apart)
                apart.check(
                    cast("_buffers.Limits", limits),
                    f"argument {name} (type {_type_name(value)}) of {self.name}",
                )
            raise error from None

    def too_large(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], size: int, limit: int
    ) -> PayloadTooLarge:
        """Names the largest part of what is over the limit."""
        parts = [(len(self.head), f"the code of {self.name}")]
        for name, value in self._named(args, kwargs):
            data = _envelope.encode_value(value, _dumps, name)
            kind = _type_name(value)
            parts.append((len(data), f"argument {name} (type {kind}) of {self.name}"))
        largest, what = max(parts)
        whole = "" if largest >= size else f"; with all the rest {sized(size)}"
        return PayloadTooLarge(
            f"{what} is {sized(largest)} ({largest} bytes) serialised{whole}; "
            f"the limit is {sized(limit)} ({limit} bytes)"
        )


def sized(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _dumps(obj: Any, apart: Optional[_buffers.Apart] = None) -> Tuple[bytes, bool]:
    pickled = _pickler.dumps(obj, apart=apart)
    return pickled.data, pickled.has_code


def _type_name(obj: Any) -> str:
    kind = type(obj)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _display_name(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        return type(function).__qualname__
    module = getattr(function, "__module__", None)
    short = name.replace("<locals>.", "")
    return short if module in (None, "__main__", "builtins") else f"{module}.{short}"


# --- blobs ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _blob(data: bytes) -> _core.Blob:
    """Functions of one bundle share it, and what is known of where it has been put."""
    return _core.Blob(data)


_own_cloudpickle: List[_core.Blob] = []


def _cloudpickle() -> _core.Blob:
    """The cloudpickle of this process, which nodes load for what it has pickled."""
    if not _own_cloudpickle:
        folder = os.path.dirname(os.path.abspath(cloudpickle.__file__))
        files: Dict[str, bytes] = {}
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), "rb") as stream:
                    files[f"cloudpickle/{name}"] = stream.read()
        _own_cloudpickle.append(_core.Blob(_envelope.encode_bundle(files)))
    return _own_cloudpickle[0]


# --- what a function captures ---------------------------------------------------------


def _captured(function: types.FunctionType) -> Optional[List[Tuple[Any, Any, Any]]]:
    """(holder, key, value) for everything that travelled with a function by value, so
    that a change is noticed; None where a change could not be: mutable objects."""
    captured: List[Tuple[Any, Any, Any]] = []
    seen: Dict[int, Any] = {}

    def see(holder: Any, key: Any) -> bool:
        value = _look(holder, key)
        captured.append((holder, key, value))
        return value is _ABSENT or frozen(value)

    def frozen(value: Any) -> bool:
        if isinstance(value, _FROZEN) or id(value) in seen:
            return True
        if isinstance(value, tuple):
            return all(frozen(part) for part in value)
        plain = unwrap(value)
        if isinstance(plain, types.BuiltinFunctionType):
            return True
        if not isinstance(plain, types.FunctionType):
            return False
        seen[id(value)] = value
        return _pickler.importable_name(plain) is not None or look(plain)

    def look(plain: types.FunctionType) -> bool:
        if plain.__dict__ or plain.__kwdefaults__:
            return False
        cells = plain.__closure__ or ()
        return (
            all(see(cell, "cell_contents") for cell in cells)
            and frozen(plain.__defaults__ or ())
            and all(see(plain.__globals__, name) for name in _names(plain.__code__))
        )

    return captured if look(function) else None


def _look(holder: Any, key: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(key, _ABSENT)
    try:
        return getattr(holder, key)
    except ValueError:  # an empty cell
        return _ABSENT


def _names(code: types.CodeType) -> FrozenSet[str]:
    """Names that a body may look up among its globals."""
    inner = [
        _names(part) for part in code.co_consts if isinstance(part, types.CodeType)
    ]
    return frozenset(code.co_names).union(*inner)
