# SPDX-License-Identifier: MIT
"""Envelopes against tests/unit/data/envelopes.json, which C reads as well.

`python test_envelope.py --write FILE` makes the file anew: only for a new version of
the protocol, since what has been written must stay readable.
"""

import json
import pathlib
import pickle
import sys
import threading

import envelopes

from understudy import _envelope, exceptions
from understudy._envelope import Failure
from understudy._msgpack import packb, unpackb

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "unit" / "data" / "envelopes.json"
DIGEST = bytes(range(32))
OTHER = bytes(range(32, 64))


def expect(error, call, *args):
    try:
        result = call(*args)
    except error as exc:
        return str(exc)
    raise AssertionError(f"{result!r} instead of {error.__name__}")


# --- Golden data ----------------------------------------------------------------------

VALUES = {
    "nil": None,
    "true": True,
    "small": 7,
    "negative": -33,
    "largest": 2**64 - 1,
    "smallest": -(2**63),
    "float": 1.5,
    "text": "größer",
    "bytes": b"\x00\xff",
    "list": [1, "two", 3.0, None, [True]],
    "floats": [0.5] * 10,
    "map": {"a": 1, "b": {"c": [b"x"]}},
}

PICKLED = pickle.dumps((1, {2}), 5)

BUNDLE = {"pkg/__init__.py": b"", "jobs.py": b"def f(x):\n    return x\n"}


def call_examples():
    plain = envelopes.encode_args((1, "two"), {"three": 3.0})
    none = envelopes.encode_args((), {})
    pickled_args = packb(["p", "3.11", False, pickle.dumps(((1, {2}), {}), 5)])
    by_value = {"pickle": PICKLED, "python": "3.11", "cloudpickle": OTHER}
    return {
        "bundle": (_envelope.code_bundle(DIGEST, "pkg.jobs:Class.method"), plain),
        "no arguments": (_envelope.code_bundle(DIGEST, "jobs:f"), none),
        "source": (envelopes.code_source("def f(): return 1\n", "f"), none),
        "pickle": (packb(by_value), pickled_args),
        "pickle and bundle": (packb({**by_value, "bundle": DIGEST}), plain),
    }


def failure_examples():
    return {
        "exception": Failure(
            -24,
            "ValueError",
            "no",
            "builtins",
            'Traceback (most recent call last):\n  File "jobs.py", line 2, in f\n',
            [["jobs.py", 2, "f"], ["pkg/a.py", 10, "g"]],
            packb(["p", "3.11", False, pickle.dumps(ValueError("no"), 5)]),
        ),
        "shell": Failure(
            -25,
            "ShellError",
            "the shell command ended with exit code 3",
            detail={"command": "exit 3", "output": "text\n", "exit_code": 3},
        ),
        "build": Failure(
            -17,
            "EnvironmentBuildError",
            "no such package",
            detail={"node": "a", "command": "pip install x", "output": "none"},
        ),
        "died": Failure(
            -18, "WorkerDied", "signal 11", detail={"log": "last\n", "signal": 11}
        ),
    }


CORRUPT = {
    "call: empty": "",
    "call: not an array": "80",
    "call: other version": "930380c0",
    "call: cut short": "9301",
    "call: code is not a map": "9301a0" + "92a16dc40392" + "9080",
    "value: neither m nor p": "92a178c400",
    "value: not bytes": "92a16da0",
    "value: no length": "92a16dc4",
    "value: inner cut short": "92a16dc401cd",
    "value: inner too long": "92a16dc402c0c0",
    "value: three": "93a16dc401c0c0",
    "failure: not a map": "90",
    "failure: empty map": "80",
    "bundle: not a map": "90",
    "bundle: parent": packb({"../x.py": b""}).hex(),
    "bundle: absolute": packb({"/x.py": b""}).hex(),
    "bundle: dot": packb({"a/./x.py": b""}).hex(),
    "bundle: text for bytes": packb({"x.py": ""}).hex(),
}


def jsonable(obj):
    if isinstance(obj, bytes):
        return {"bytes": obj.hex()}
    if isinstance(obj, list):
        return [jsonable(item) for item in obj]
    if isinstance(obj, dict):
        return {key: jsonable(value) for key, value in obj.items()}
    return obj


def make_golden():
    golden = {"about": "Envelopes of docs/protocol.md section 8, in hex."}
    golden["values"] = [
        {"name": name, "value": jsonable(obj), "hex": _envelope.encode_plain(obj).hex()}
        for name, obj in VALUES.items()
    ]
    golden["pickled"] = [
        {
            "name": "tuple and set",
            "python": "3.11",
            "has_code": False,
            "hex": packb(["p", "3.11", False, PICKLED]).hex(),
        }
    ]
    golden["calls"] = [
        {
            "name": name,
            "code": jsonable(unpackb(code)),
            "args": args.hex(),
            "hex": envelopes.encode_call(code, args).hex(),
        }
        for name, (code, args) in call_examples().items()
    ]
    golden["failures"] = [
        {
            "name": name,
            "fields": jsonable(unpackb(failure.encode())),
            "hex": failure.encode().hex(),
        }
        for name, failure in failure_examples().items()
    ]
    golden["bundles"] = [
        {
            "name": "two files",
            "files": {path: data.decode() for path, data in BUNDLE.items()},
            "hex": _envelope.encode_bundle(BUNDLE).hex(),
        }
    ]
    golden["corrupt"] = [
        {"kind": name.partition(":")[0], "name": name, "hex": data}
        for name, data in CORRUPT.items()
    ]
    return golden


def test_golden_is_what_is_written():
    golden = json.loads(GOLDEN.read_text())
    made = make_golden()
    for entry in (*golden["pickled"], *made["pickled"]):
        entry.pop("hex")  # pickle may write the same thing in several ways
    for part in ("calls", "failures"):
        pairs = zip(golden[part], made[part])
        for old, new in pairs:
            if "pickle" in old["name"] or "exception" in old["name"]:
                old.clear()
                new.clear()
    assert golden == made


def test_golden_is_read():
    golden = json.loads(GOLDEN.read_text())
    for entry in golden["values"]:
        value = _envelope.decode_value(bytes.fromhex(entry["hex"]))
        assert jsonable(value) == entry["value"], entry["name"]
    for entry in golden["pickled"]:
        assert _envelope.decode_value(bytes.fromhex(entry["hex"])) == (1, {2})
    for entry in golden["calls"]:
        body = bytes.fromhex(entry["hex"])
        code, key, end = _envelope.split_call(body)
        assert jsonable(code) == entry["code"], entry["name"]
        assert body[:end] == b"\x93\x01" + key and body[end:].hex() == entry["args"]
        args, kwargs = _envelope.decode_args(body[end:])
        assert not args or args[0] == 1, kwargs
    for entry in golden["failures"]:
        data = bytes.fromhex(entry["hex"])
        assert Failure.decode(data).encode() == data, entry["name"]
        assert jsonable(unpackb(data)) == entry["fields"]
    for entry in golden["bundles"]:
        files = _envelope.decode_bundle(bytes.fromhex(entry["hex"]))
        assert {path: data.decode() for path, data in files.items()} == entry["files"]
        assert list(files) == sorted(files)


def test_corrupt_is_refused():
    readers = {
        "call": _envelope.split_call,
        "value": _envelope.decode_value,
        "failure": Failure.decode,
        "bundle": _envelope.decode_bundle,
    }
    for entry in json.loads(GOLDEN.read_text())["corrupt"]:
        data = bytes.fromhex(entry["hex"])
        expect(exceptions.ProtocolError, readers[entry["kind"]], data)


# --- Values ---------------------------------------------------------------------------


def test_values_round_trip():
    for obj in (
        *VALUES.values(),
        (1, 2),
        {1, 2},
        {1: 2},
        2**70,
        [(1,)],
        1j,
        Exception,
        "x" * 70000,
        b"x" * 300,
    ):
        back = _envelope.decode_value(_envelope.encode_value(obj))
        assert back == obj and type(back) is type(obj)


def test_arguments():
    for args, kwargs in (
        ((), {}),
        ((1, "a"), {"b": None}),
        (((1,),), {}),
        ((), {"x": {1}}),
    ):
        data = envelopes.encode_args(args, kwargs)
        got_args, got_kwargs = _envelope.decode_args(data)
        assert tuple(got_args) == args and got_kwargs == kwargs
    for data in (
        _envelope.encode_plain([1]),
        _envelope.encode_plain([1, {}]),
        _envelope.encode_plain([[], []]),
        _envelope.encode_plain(None),
    ):
        expect(exceptions.ProtocolError, _envelope.decode_args, data)


def test_code_of_another_python_is_not_loaded():
    data = packb(["p", "2.7", True, b"not even a pickle"])
    text = expect(exceptions.PythonVersionError, _envelope.decode_value, data)
    assert "2.7" in text and _envelope.PYTHON in text
    data = packb(["p", "2.7", False, pickle.dumps((1,), 2)])
    assert _envelope.decode_value(data) == (1,)


def test_what_cannot_be_pickled_is_named():
    class Holder:
        pass

    globals()["Holder"] = Holder
    Holder.__qualname__ = "Holder"
    holder = Holder()
    holder.inner = {"key": [1, threading.Lock()]}
    text = expect(exceptions.SerializationError, _envelope.encode_value, [holder])
    assert text.startswith("result[0].inner['key'][1] (type _thread.lock)"), text


def test_failures():
    failure = Failure(-24, "E\ud800", "bad \ud800", frames=[["a\udcff", 1, "f"]])
    back = Failure.decode(failure.encode())
    assert back.message == "bad \\ud800" and back.frames == [["a\\udcff", 1, "f"]]
    assert back.pickle is None and back.detail == {}


def test_bundles_are_the_same_bytes_in_any_order():
    turned = dict(reversed(list(BUNDLE.items())))
    assert _envelope.encode_bundle(turned) == _envelope.encode_bundle(BUNDLE)
    for path in ("", "/x", "a//b", "a/../b", "./a", "a/", "a\0"):
        expect(exceptions.ProtocolError, _envelope.encode_bundle, {path: b""})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        text = json.dumps(make_golden(), indent=1, ensure_ascii=False)
        pathlib.Path(sys.argv[2]).write_text(text + "\n")
    else:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test()
