# SPDX-License-Identifier: MIT
"""A msgpack codec in plain Python, for data that come back exactly equal.

``packb`` takes None, bool, int of 64 bits, float, str, bytes, list and dict with str
keys, by exact type: a subclass, a tuple or a set would come back as something else.
``unpackb`` reads whatever other writers make of these types, and refuses extensions.

Long lists of floats or of small integers, which pure Python would be slow at, are
packed and unpacked as a whole.
"""

from __future__ import annotations

import struct
from itertools import chain, repeat
from typing import Any, Callable, Dict, List, Tuple

MAX_DEPTH = 32

# From this length on a list is looked at as a whole first.
_BULK = 8

_U16 = struct.Struct(">BH").pack
_U32 = struct.Struct(">BI").pack
_U64 = struct.Struct(">BQ").pack
_I8 = struct.Struct(">Bb").pack
_I16 = struct.Struct(">Bh").pack
_I32 = struct.Struct(">Bi").pack
_I64 = struct.Struct(">Bq").pack
_F64 = struct.Struct(">Bd").pack


class NotPlain(TypeError):
    """The object would not come back exactly equal."""


class MsgpackError(ValueError):
    """Not msgpack, cut short, too deep, or a type that is not spoken here."""


# --- Writing --------------------------------------------------------------------------


def packb(obj: Any, max_depth: int = MAX_DEPTH) -> bytes:
    parts: List[bytes] = []
    _pack(obj, parts.append, max_depth)
    return b"".join(parts)


def _pack(obj: Any, add: Callable[[bytes], None], depth: int) -> None:
    kind = type(obj)
    if kind is str:
        _pack_str(obj, add)
    elif kind is int:
        add(_pack_int(obj))
    elif kind is float:
        add(_F64(0xCB, obj))
    elif obj is None:
        add(b"\xc0")
    elif kind is bool:
        add(b"\xc3" if obj else b"\xc2")
    elif kind is bytes:
        add(bin_head(len(obj)))
        add(obj)
    elif kind is list:
        _pack_list(obj, add, depth - 1)
    elif kind is dict:
        _pack_dict(obj, add, depth - 1)
    else:
        raise NotPlain(f"{kind.__name__} is not plain data")


def _pack_str(text: str, add: Callable[[bytes], None]) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise NotPlain("a str with lone surrogates is not plain data") from None
    add(_head(len(data), 0xA0, 32, 0xD9))
    add(data)


def _pack_int(n: int) -> bytes:
    if n >= 0:
        if n < 0x80:
            return bytes((n,))
        if n <= 0xFF:
            return bytes((0xCC, n))
        if n <= 0xFFFF:
            return _U16(0xCD, n)
        if n <= 0xFFFFFFFF:
            return _U32(0xCE, n)
        if n <= 0xFFFFFFFFFFFFFFFF:
            return _U64(0xCF, n)
    elif n >= -0x20:
        return bytes((n + 0x100,))
    elif n >= -0x80:
        return _I8(0xD0, n)
    elif n >= -0x8000:
        return _I16(0xD1, n)
    elif n >= -0x80000000:
        return _I32(0xD2, n)
    elif n >= -0x8000000000000000:
        return _I64(0xD3, n)
    raise NotPlain("an int of more than 64 bits is not plain data")


def _head(count: int, short: int, short_limit: int, first: int) -> bytes:
    """Type byte and length. first: the type with 8 bits of length; for arrays and maps,
    which have none such, the one before the type with 16 bits."""
    if count < short_limit:
        return bytes((short + count,))
    if count <= 0xFF and first not in (0xDB, 0xDD):
        return bytes((first, count))
    if count <= 0xFFFF:
        return _U16(first + 1, count)
    if count <= 0xFFFFFFFF:
        return _U32(first + 2, count)
    raise NotPlain("longer than msgpack can say")


def bin_head(count: int) -> bytes:
    """What stands before so many bytes."""
    return _head(count, 0, 0, 0xC4)


def _pack_list(items: List[Any], add: Callable[[bytes], None], depth: int) -> None:
    if depth < 0:
        raise NotPlain("nested too deep")
    count = len(items)
    add(_head(count, 0x90, 16, 0xDB))
    if count >= _BULK:
        kinds = set(map(type, items))
        if kinds == {float}:
            tagged = chain.from_iterable(zip(repeat(0xCB), items))
            add(struct.pack(">" + "Bd" * count, *tagged))
            return
        if kinds == {int} and min(items) >= 0 and max(items) < 0x80:
            add(bytes(items))
            return
    for item in items:
        _pack(item, add, depth)


def _pack_dict(items: Dict[str, Any], add: Callable[[bytes], None], depth: int) -> None:
    if depth < 0:
        raise NotPlain("nested too deep")
    add(_head(len(items), 0x80, 16, 0xDD))
    for key, value in items.items():
        if type(key) is not str:
            raise NotPlain(f"a dict with {type(key).__name__} keys is not plain data")
        _pack_str(key, add)
        _pack(value, add, depth)


# --- Reading --------------------------------------------------------------------------


def unpackb(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The one object that data hold."""
    obj, end = unpack_from(data, 0, max_depth)
    if end != len(data):
        raise MsgpackError("bytes after the end")
    return obj


def unpack_from(data: bytes, pos: int, max_depth: int = MAX_DEPTH) -> Tuple[Any, int]:
    """The object that begins at pos, and where it ends."""
    try:
        return _read(data, pos, max_depth)
    except (IndexError, struct.error):
        raise MsgpackError("cut short") from None
    except UnicodeDecodeError:
        raise MsgpackError("a str that is not UTF-8") from None


def _read(data: bytes, pos: int, depth: int) -> Tuple[Any, int]:
    kind = data[pos]
    pos += 1
    if kind < 0x80:
        return kind, pos
    if kind >= 0xE0:
        return kind - 0x100, pos
    if kind >= 0xC0:
        return _READERS[kind - 0xC0](data, pos, depth)
    if kind >= 0xA0:
        return _str(data, pos, kind & 31)
    if kind >= 0x90:
        return _list(data, pos, kind & 15, depth - 1)
    return _dict(data, pos, kind & 15, depth - 1)


def _bin(data: bytes, pos: int, count: int) -> Tuple[bytes, int]:
    end = pos + count
    if end > len(data):
        raise MsgpackError("cut short")
    return data[pos:end], end


def _str(data: bytes, pos: int, count: int) -> Tuple[str, int]:
    end = pos + count
    if end > len(data):
        raise MsgpackError("cut short")
    return data[pos:end].decode(), end


def _list(data: bytes, pos: int, count: int, depth: int) -> Tuple[List[Any], int]:
    if depth < 0:
        raise MsgpackError("nested too deep")
    if count > len(data) - pos:  # an element is a byte at least
        raise MsgpackError("cut short")
    if count >= _BULK:
        end = pos + count
        if data[pos:end].isascii():
            return list(data[pos:end]), end
        end = pos + 9 * count
        if end <= len(data) and data[pos:end:9].count(0xCB) == count:
            return list(struct.unpack_from(">" + "xd" * count, data, pos)), end
    items = []
    for _ in range(count):
        item, pos = _read(data, pos, depth)
        items.append(item)
    return items, pos


def _dict(data: bytes, pos: int, count: int, depth: int) -> Tuple[Dict[Any, Any], int]:
    if depth < 0:
        raise MsgpackError("nested too deep")
    items = {}
    for _ in range(count):
        key, pos = _read(data, pos, depth)
        value, pos = _read(data, pos, depth)
        try:
            items[key] = value
        except TypeError:
            raise MsgpackError("a map with a container as key") from None
    if len(items) != count:
        raise MsgpackError("a key twice")
    return items, pos


_Reader = Callable[[bytes, int, int], Tuple[Any, int]]


def _const(value: Any) -> _Reader:
    return lambda data, pos, depth: (value, pos)


def _number(layout: str) -> _Reader:
    codec = struct.Struct(layout)
    unpack, size = codec.unpack_from, codec.size
    return lambda data, pos, depth: (unpack(data, pos)[0], pos + size)


def _counted(
    layout: str, read: Callable[[bytes, int, int], Tuple[Any, int]]
) -> _Reader:
    codec = struct.Struct(layout)
    unpack, size = codec.unpack_from, codec.size
    return lambda data, pos, depth: read(data, pos + size, unpack(data, pos)[0])


def _nested(
    layout: str, read: Callable[[bytes, int, int, int], Tuple[Any, int]]
) -> _Reader:
    codec = struct.Struct(layout)
    unpack, size = codec.unpack_from, codec.size

    def reader(data: bytes, pos: int, depth: int) -> Tuple[Any, int]:
        return read(data, pos + size, unpack(data, pos)[0], depth - 1)

    return reader


def _refuse(data: bytes, pos: int, depth: int) -> Tuple[Any, int]:
    raise MsgpackError(f"type 0x{data[pos - 1]:02x} is not spoken here")


# Types 0xc0 to 0xdf.
_READERS: List[_Reader] = [
    _const(None),
    _refuse,
    _const(False),
    _const(True),
    *(_counted(layout, _bin) for layout in (">B", ">H", ">I")),
    _refuse,
    _refuse,
    _refuse,
    *(_number(">" + layout) for layout in "fdBHIQbhiq"),
    *repeat(_refuse, 5),
    *(_counted(layout, _str) for layout in (">B", ">H", ">I")),
    *(_nested(layout, _list) for layout in (">H", ">I")),
    *(_nested(layout, _dict) for layout in (">H", ">I")),
]
