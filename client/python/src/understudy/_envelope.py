# SPDX-License-Identifier: MIT
"""Call, value, failure and bundle: the bodies of docs/protocol.md section 8.

Client and worker both write and read them with this module, so it must load on any
Python from 3.9 on and without the extension. The caller pickles: ``dumps`` gives the
bytes and whether they hold code objects, and may be told to leave large buffers out
(_buffers.Apart); ``loads`` takes bytes, and the buffers that were left out. Three
exceptions of understudy.exceptions tell what is wrong with an envelope: ProtocolError
where it is malformed, PythonVersionError where it holds code of another Python,
SerializationError where something cannot be pickled.
"""

from __future__ import annotations

import sys
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
)

from understudy import _buffers
from understudy._msgpack import (
    MsgpackError,
    NotPlain,
    bin_head,
    packb,
    unpack_from,
    unpackb,
)
from understudy.exceptions import (
    PayloadTooLarge,
    ProtocolError,
    PythonVersionError,
    SerializationError,
)

Dumps = Callable[..., Tuple[bytes, bool]]  # (obj, apart=None)
Loads = Callable[..., Any]  # (data, buffers=())

PYTHON = ".".join(map(str, sys.version_info[:2]))
PICKLE_PROTOCOL = 5

# How deep, and at how many objects, the search for what cannot be pickled looks.
_SEARCH_DEPTH = 16
_SEARCH_COUNT = 10_000

_NONE = b"\x92\xa1m\xc4\x01\xc0"


def malformed(what: str) -> NoReturn:
    """Raises ProtocolError."""
    raise ProtocolError(f"malformed envelope: {what}")


def _unpack(data: bytes, what: str) -> Any:
    try:
        return unpackb(data)
    except MsgpackError as exc:
        malformed(f"{what}: {exc}")


# --- Values ---------------------------------------------------------------------------


def encode_plain(obj: Any) -> bytes:
    """["m", bin]. Raises NotPlain where obj would not come back exactly equal."""
    if obj is None:
        return _NONE
    data = packb(obj)
    return b"".join((b"\x92\xa1m", bin_head(len(data)), data))


def encode_pickle(data: bytes, has_code: bool) -> bytes:
    """["p", python, has_code, bin]."""
    return packb(["p", PYTHON, has_code, data])


def encode_apart(data: bytes, has_code: bool, buffers: Sequence[memoryview]) -> bytes:
    """["b", python, has_code, bin, [size, …]]: a pickle without its large buffers."""
    sizes = [view.nbytes for view in buffers]
    return packb(["b", PYTHON, has_code, data, sizes])


def has_buffers(data: bytes) -> bool:
    """Whether a value takes buffers."""
    return data[:3] == b"\x95\xa1b"


def plain_pickle(
    obj: Any, apart: Optional[_buffers.Apart] = None
) -> Tuple[bytes, bool]:
    """The dumps for what both ends can import: functions and classes by name."""
    return _buffers.dumps(obj, PICKLE_PROTOCOL, apart), False


plain_loads = _buffers.loads


def encode_value(obj: Any, dumps: Dumps = plain_pickle, name: str = "result") -> bytes:
    """A value, whole. name: what SerializationError calls it."""
    return encode_result(obj, dumps, None, name)[0]


def encode_result(
    obj: Any,
    dumps: Dumps = plain_pickle,
    limits: Optional[_buffers.Limits] = None,
    name: str = "result",
) -> Tuple[bytes, Sequence[memoryview]]:
    """A value, and the buffers that go apart from it. limits: None: none do."""
    holds_bytes = limits is not None and _buffers.holds_bytes(obj)
    if not holds_bytes:
        try:
            return encode_plain(obj), ()
        except NotPlain:
            pass
    try:
        if limits is None:
            return encode_pickle(*dumps(obj)), ()
        data, has_code, apart = dump_apart(obj, dumps, limits.room, holds_bytes)
        apart.check(limits, f"the {name}")
        if not apart.taken:
            return encode_pickle(data, has_code), ()
        return encode_apart(data, has_code, apart.taken), apart.taken
    except PayloadTooLarge:
        raise
    except Exception as exc:
        place, culprit, cause = find_unpicklable(obj, dumps, name, exc)
        reason = str(cause) or type(cause).__name__
        raise SerializationError(
            f"{place} (type {_type_name(culprit)}) cannot be serialised: {reason}"
        ) from cause


def dump_apart(
    obj: Any, dumps: Dumps, room: int, holds_bytes: bool
) -> Tuple[bytes, bool, _buffers.Apart]:
    """A pickle and what was left out of it: so many buffers at most, the largest."""
    apart = _buffers.Apart(holds_bytes)
    data, has_code = dumps(obj, apart)
    fewer = apart.of_largest(room)
    if fewer is not None:
        apart = fewer
        data, has_code = dumps(obj, apart)
    return data, has_code, apart


def _type_name(obj: Any) -> str:
    kind = type(obj)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def decode_value(
    data: bytes,
    loads: Loads = plain_loads,
    what: str = "value",
    buffers: Sequence[Any] = (),
) -> Any:
    """What encode_value or encode_result was given. Whatever loads raises comes
    through."""
    if data[:4] == b"\x92\xa1m\xc4" and len(data) > 4 and len(data) == data[4] + 5:
        return _unpack(data[5:], what)
    if data[:3] == b"\x92\xa1m":
        parts = _unpack(data, what)
        if type(parts[1]) is not bytes:
            malformed(what)
        return _unpack(parts[1], what)
    blob, sizes = _pickle_of(_unpack(data, what), what)
    if sizes != [memoryview(buffer).nbytes for buffer in buffers]:
        malformed(f"buffers of the {what}")
    return loads(blob, buffers) if buffers else loads(blob)


def _pickle_of(parts: Any, what: str) -> Tuple[bytes, List[int]]:
    """The pickle in a value envelope, once it is known that this Python may load it,
    and the sizes of the buffers that belong to it."""
    kind = parts[0] if type(parts) is list and parts else None
    if kind == "p":
        parts = [*parts, []]
    if kind not in ("p", "b") or len(parts) != 5:
        malformed(what)
    _, python, has_code, blob, sizes = parts
    kinds = (type(python), type(has_code), type(blob), type(sizes))
    if kinds != (str, bool, bytes, list):
        malformed(what)
    if has_code:
        check_python(python, what)
    return blob, sizes


def decode_args(
    data: bytes, loads: Loads = plain_loads, buffers: Sequence[Any] = ()
) -> Tuple[Sequence[Any], Dict[str, Any]]:
    pair = decode_value(data, loads, "arguments", buffers)
    if type(pair) not in (list, tuple) or len(pair) != 2:
        malformed("arguments are not a pair")
    args, kwargs = pair
    if type(args) not in (list, tuple) or type(kwargs) is not dict:
        malformed("arguments are not an array and a map")
    return args, kwargs


def check_python(python: str, what: str) -> None:
    if python == PYTHON:
        return
    raise PythonVersionError(
        f"the {what} holds code of Python {python} and this is Python {PYTHON}: "
        "code goes only between equal minor versions"
    )


def find_unpicklable(
    obj: Any, dumps: Dumps, name: str, reason: Exception
) -> Tuple[str, Any, Exception]:
    """Path, object and reason of the innermost thing in obj that cannot be pickled."""
    budget = _SEARCH_COUNT
    for _ in range(_SEARCH_DEPTH):
        for place, part in _parts(obj):
            budget -= 1
            try:
                dumps(part)
            except Exception as exc:
                obj, name, reason = part, name + place, exc
                break
            if budget <= 0:
                return name, obj, reason
        else:
            break
    return name, obj, reason


def _parts(obj: Any) -> Iterable[Tuple[str, Any]]:
    if isinstance(obj, Mapping):
        for key, value in list(obj.items()):
            yield f"[{key!r}]"[:64], value
    elif isinstance(obj, (list, tuple)):
        for index, value in enumerate(obj):
            yield f"[{index}]", value
    elif isinstance(obj, (set, frozenset)):
        for value in obj:
            yield f"{{{value!r}}}"[:64], value
    elif not isinstance(obj, type):
        for key, value in list(getattr(obj, "__dict__", {}).items()):
            yield f".{key}", value


# --- Calls ----------------------------------------------------------------------------


def code_bundle(digest: bytes, function: str) -> bytes:
    """A function, "module:qualname", from the modules of a bundle."""
    return packb({"bundle": digest, "function": function})


def code_pickle(
    data: bytes, cloudpickle: bytes, bundle: Optional[bytes] = None
) -> bytes:
    """A function by value, pickled with the cloudpickle of that digest."""
    code = {"pickle": data, "python": PYTHON, "cloudpickle": cloudpickle}
    if bundle is not None:
        code["bundle"] = bundle
    return packb(code)


def call_head(code: bytes) -> bytes:
    """A call of this code; the arguments follow."""
    return b"\x93\x01" + code


def with_buffers(head: bytes) -> bytes:
    """The same for arguments whose buffers go apart: who does not know them says so."""
    return b"\x93\x02" + head[2:]


def split_call(body: bytes) -> Tuple[Dict[str, Any], bytes, int]:
    """Code, its bytes, and where the arguments begin in body."""
    if body[:1] != b"\x93":
        malformed("a call is an array of three")
    if body[1:2] not in (b"\x01", b"\x02"):
        malformed("unknown version of a call")
    try:
        code, end = unpack_from(body, 2)
    except MsgpackError as exc:
        malformed(f"code: {exc}")
    if type(code) is not dict:
        malformed("code is not a map")
    return code, body[2:end], end


# --- Failures -------------------------------------------------------------------------


class Failure:
    """Why an attempt failed: the failure envelope."""

    __slots__ = (
        "code",
        "detail",
        "frames",
        "message",
        "module",
        "pickle",
        "traceback",
        "type",
    )

    def __init__(
        self,
        code: int,
        type: str,
        message: str,
        module: str = "understudy.exceptions",
        traceback: str = "",
        frames: Sequence[Sequence[Any]] = (),
        pickle: Optional[bytes] = None,
        detail: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.code = code
        self.type = type
        self.module = module
        self.message = message
        self.traceback = traceback
        self.frames: List[List[Any]] = [list(frame) for frame in frames]
        self.pickle = pickle
        self.detail: Dict[str, Any] = dict(detail or {})

    def encode(self) -> bytes:
        fields: Dict[str, Any] = {
            "code": self.code,
            "type": _clean(self.type),
            "module": _clean(self.module),
            "message": _clean(self.message),
            "traceback": _clean(self.traceback),
            "frames": [
                [_clean(f), line, _clean(name)] for f, line, name in self.frames
            ],
        }
        if self.pickle is not None:
            fields["pickle"] = self.pickle
        if self.detail:
            fields["detail"] = {
                key: _clean(value) if type(value) is str else value
                for key, value in self.detail.items()
            }
        return packb(fields)

    @classmethod
    def decode(cls, data: bytes) -> Failure:
        fields = _unpack(data, "failure")
        if type(fields) is not dict:
            malformed("a failure is a map")
        kinds = {"code": int, "type": str, "module": str, "message": str}
        kinds.update(traceback=str, frames=list)
        for name, kind in kinds.items():
            if type(fields.get(name)) is not kind:
                malformed(f"{name} of a failure")
        if not all(_is_frame(frame) for frame in fields["frames"]):
            malformed("frames of a failure")
        if not isinstance(fields.get("pickle", b""), bytes):
            malformed("pickle of a failure")
        if not isinstance(fields.get("detail", {}), dict):
            malformed("detail of a failure")
        known: Dict[str, Any] = {name: fields[name] for name in kinds}
        return cls(**known, pickle=fields.get("pickle"), detail=fields.get("detail"))


def _is_frame(frame: Any) -> bool:
    return type(frame) is list and [type(part) for part in frame] == [str, int, str]


def _clean(text: str) -> str:
    """Lone surrogates, as in undecodable file names, do not travel in msgpack."""
    return text.encode("utf-8", "backslashreplace").decode()


# --- Bundles --------------------------------------------------------------------------


# What a bundle may hold besides modules: the call that sets a worker up, and files for
# the working directory of a job.
SETUP = ".setup"
FILES = ".files"


def encode_bundle(files: Mapping[str, bytes]) -> bytes:
    """Same files, same bytes: the keys are sorted."""
    for path in files:
        _check_path(path)
    return packb(dict(sorted(files.items())))


def decode_bundle(data: bytes) -> Dict[str, bytes]:
    files = _unpack(data, "bundle")
    if type(files) is not dict:
        malformed("a bundle is a map")
    for path, content in files.items():
        if type(path) is not str or type(content) is not bytes:
            malformed("a bundle is a map from str to bin")
        _check_path(path)
    return files


def _check_path(path: str) -> None:
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        malformed(f"path {path!r} in a bundle")
