# SPDX-License-Identifier: MIT
import math
import pathlib
import random
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

from understudy._msgpack import (  # noqa: E402
    MAX_DEPTH,
    MsgpackError,
    NotPlain,
    packb,
    unpack_from,
    unpackb,
)

# (object, its only encoding here)
EXACT = [
    (None, "c0"),
    (False, "c2"),
    (True, "c3"),
    (0, "00"),
    (127, "7f"),
    (128, "cc80"),
    (255, "ccff"),
    (256, "cd0100"),
    (65536, "ce00010000"),
    (2**32, "cf0000000100000000"),
    (2**64 - 1, "cf" + "ff" * 8),
    (-1, "ff"),
    (-32, "e0"),
    (-33, "d0df"),
    (-128, "d080"),
    (-129, "d1ff7f"),
    (-32769, "d2ffff7fff"),
    (-(2**31) - 1, "d3ffffffff7fffffff"),
    (-(2**63), "d38000000000000000"),
    (1.5, "cb3ff8000000000000"),
    ("", "a0"),
    ("é", "a2c3a9"),
    ("a" * 31, "bf" + "61" * 31),
    ("a" * 32, "d920" + "61" * 32),
    (b"", "c400"),
    (b"\xff", "c401ff"),
    ([], "90"),
    ([1, "a"], "9201a161"),
    ([[None]], "9191c0"),
    ({}, "80"),
    ({"a": 1, "b": []}, "82a16101a16290"),
]


def expect(error, call, *args):
    try:
        result = call(*args)
    except error:
        return
    raise AssertionError(f"{result!r} instead of {error.__name__}")


def same(a, b):
    return type(a) is type(b) and a == b


def test_exact_bytes():
    for obj, data in EXACT:
        assert packb(obj).hex() == data, obj
        assert same(unpackb(bytes.fromhex(data)), obj), obj


def test_lengths_at_every_border():
    for size in (15, 16, 31, 32, 255, 256, 65535, 65536):
        for obj in ("x" * size, b"x" * size, [None] * size, [200] * size):
            assert same(unpackb(packb(obj)), obj), size
        table = {str(i): i for i in range(size)}
        assert unpackb(packb(table)) == table
        assert list(unpackb(packb(table))) == list(table)


def test_bulk_lists():
    for items in (
        [0.5] * 8,
        [0.5] * 100 + [1],
        [1] * 100,
        [127] * 8,
        [127] * 8 + [128],
        [1] * 8 + [True],
        [1] * 8 + [-1],
        [0.0, -0.0, math.inf, -math.inf] * 4,
        [1.0] * 8 + [None],
    ):
        back = unpackb(packb(items))
        assert [type(x) for x in back] == [type(x) for x in items]
        assert struct.pack(f"{len(items)}d", *[float(x or 0) for x in back]) == (
            struct.pack(f"{len(items)}d", *[float(x or 0) for x in items])
        )
    assert math.isnan(unpackb(packb([math.nan] * 8))[3])


def test_not_plain():
    class Text(str):
        pass

    class Table(dict):
        pass

    for obj in (
        (1, 2),
        {1, 2},
        bytearray(b"x"),
        2**64,
        -(2**63) - 1,
        Text("x"),
        Table(),
        {1: 2},
        {Text("a"): 1},
        [object()],
        "\ud800",
        1j,
        [1] * 20 + [2**70],
        [(1,)],
    ):
        expect(NotPlain, packb, obj)
    cycle = []
    cycle += [cycle, cycle]
    expect(NotPlain, packb, cycle)


def test_depth():
    obj = []
    for _ in range(MAX_DEPTH - 1):
        obj = [obj]
    assert unpackb(packb(obj)) == obj
    expect(NotPlain, packb, [obj])
    expect(MsgpackError, unpackb, b"\x91" * (MAX_DEPTH + 1) + b"\xc0")


def test_other_writers():
    for data, obj in (
        ("ca3fc00000", 1.5),
        ("d905" + "68656c6c6f", "hello"),
        ("da0001" + "61", "a"),
        ("db00000001" + "61", "a"),
        ("c5000161", b"a"),
        ("c60000000161", b"a"),
        ("dc000101", [1]),
        ("dd0000000101", [1]),
        ("de0001a16101", {"a": 1}),
        ("df00000001a16101", {"a": 1}),
        ("cd0001", 1),
        ("8101c0", {1: None}),
    ):
        assert same(unpackb(bytes.fromhex(data)), obj), data


def test_malformed():
    for data in (
        "",
        "c1",
        "c7010000",
        "d40000",
        "d9",
        "d905" + "61",
        "a2c3",
        "a1ff",
        "cd00",
        "cb00",
        "dd7fffffff00",
        "dcffff",
        "df7fffffff",
        "82a16101a16101",
        "8190c0",
        "0000",
    ):
        expect(MsgpackError, unpackb, bytes.fromhex(data))


def test_every_cut_and_every_flip():
    sample = {"a": [1, 2.5, "é", b"\x00", None, True, -70000], "b": {"c": [0.5] * 9}}
    data = packb(sample)
    for cut in range(len(data)):
        expect(MsgpackError, unpackb, data[:cut])
    for index in range(len(data)):
        for value in (0, 0x7F, 0x90, 0xC1, 0xDD, 0xFF, data[index] ^ 1):
            changed = data[:index] + bytes([value]) + data[index + 1 :]
            try:
                unpackb(changed)
            except MsgpackError:
                pass


def test_random_round_trips():
    chance = random.Random(7)

    def make(depth):
        kind = chance.randrange(10 if depth else 7)
        if kind < 2:
            return chance.randrange(-(2**63), 2**64) >> chance.randrange(64)
        if kind == 2:
            return chance.random()
        if kind == 3:
            return "".join(map(chr, chance.choices(range(0x20, 0x3000), k=kind * 9)))
        if kind == 4:
            return bytes(chance.choices(range(256), k=chance.randrange(300)))
        if kind < 7:
            return chance.choice((None, True, False))
        if kind == 7:
            return {str(i): make(depth - 1) for i in range(chance.randrange(20))}
        return [make(depth - 1) for _ in range(chance.randrange(20))]

    for _ in range(200):
        obj = make(3)
        data = packb(obj)
        assert unpackb(data) == obj
        assert unpack_from(b"xyz" + data + b"more", 3) == (obj, 3 + len(data))


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
