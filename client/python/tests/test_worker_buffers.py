# SPDX-License-Identifier: MIT
"""Large buffers in a worker: what comes beside a job's body, and beside its result."""

import os
from pickle import PickleBuffer

import pytest
from worker_harness import bundle_call, source_call, worker

from understudy import _buffers, _envelope

MIB = 1 << 20
LARGE = bytes(range(256)) * (2 * MIB // 256)
NO_ARGS = _envelope.encode_plain([[], {}])
SOURCE = """
import pickle

def change(buffer):
    view = memoryview(buffer)
    was = view[0]
    view[0] = 255
    return was

def same(*args, **kwargs):
    return [args, kwargs]

def kinds(*args):
    return [type(arg).__name__ for arg in args]

def buffers(count, size):
    return [pickle.PickleBuffer(bytearray([i]) * (size + i)) for i in range(count)]
"""


def module(max_buffer=1 << 30, **more):
    return worker({"m.py": SOURCE}, max_buffer=max_buffer, **more)


def call(digest, function, *args, **kwargs):
    """A call whose buffers go apart, and those."""
    apart = _buffers.Apart(_buffers.holds_bytes((args, kwargs)))
    data, _ = _envelope.plain_pickle((args, kwargs), apart)
    code = bundle_call(digest, function).removesuffix(NO_ARGS)
    head = _envelope.with_buffers(code)
    return head + _envelope.encode_apart(data, False, apart.taken), apart.taken


@pytest.fixture
def files(tmp_path):
    def write(buffers):
        paths = []
        for number, buffer in enumerate(buffers):
            paths.append(tmp_path / f"{number}")
            paths[-1].write_bytes(buffer)
        return paths

    return write


def value(forked, body, **how):
    outcome, _, _, answer, _ = forked.run(body, **how)
    assert outcome == 1, _envelope.Failure.decode(answer).traceback
    buffers = [file.read() for file in forked.buffers]
    return _envelope.decode_value(answer, buffers=buffers)


def test_a_buffer_is_the_jobs_own(files):
    """It may be written to; the file that other jobs get stays as it is."""
    with module() as (forked, digest):
        body, buffers = call(digest, "m:change", PickleBuffer(bytearray(LARGE)))
        (path,) = files(buffers)
        assert value(forked, body, buffers=[path]) == 0
        assert value(forked, body, buffers=[path]) == 0
        assert path.read_bytes() == LARGE


def test_bytes_are_bytes_again(files):
    args = LARGE, bytearray(LARGE[1:]), b"short", [LARGE]
    with module() as (forked, digest):
        body, buffers = call(digest, "m:kinds", *args)
        assert [len(buffer) for buffer in buffers] == [len(LARGE), len(LARGE) - 1]
        kinds = value(forked, body, buffers=files(buffers))
        assert kinds == ["bytes", "bytearray", "bytes", "list"]
        body, buffers = call(digest, "m:same", *args, key=LARGE)
        assert value(forked, body, buffers=files(buffers)) == [args, {"key": LARGE}]


def test_buffers_of_a_result_cannot_be_changed_any_more():
    with module() as (forked, digest):
        made = value(forked, bundle_call(digest, "m:buffers", 2, MIB))
        assert made == [bytes(MIB), b"\1" * (MIB + 1)]
        forked.run(bundle_call(digest, "m:buffers", 1, MIB))
        with pytest.raises(PermissionError):
            os.pwrite(forked.buffers[0].fileno(), b"other", 0)


def test_small_ones_stay_in_the_pickle():
    with module() as (forked, digest):
        value(forked, bundle_call(digest, "m:buffers", 3, MIB - 2))
        assert len(forked.buffers) == 1


def test_the_largest_go_apart_where_there_are_too_many():
    with module() as (forked, digest):
        views = value(forked, bundle_call(digest, "m:buffers", 20, MIB))
        assert [len(v) for v in views] == [MIB + i for i in range(20)]
        forked.run(bundle_call(digest, "m:buffers", 20, MIB))
        sizes = [len(file.read()) for file in forked.buffers]
        assert sizes == [MIB + i for i in range(5, 20)]


@pytest.mark.parametrize(
    "limits, says",
    [
        ({"max_buffer": 2 * MIB}, "a buffer of the result has 2097153 bytes"),
        ({"max_buffers": 3 * MIB}, "the buffers of the result have 4194305 bytes"),
    ],
)
def test_over_a_limit(limits, says):
    with module(**limits) as (forked, digest):
        failure = forked.failure(bundle_call(digest, "m:buffers", 2, 2 * MIB))
        assert failure.type == "PayloadTooLarge" and says in failure.message
        assert forked.value(bundle_call(digest, "m:kinds", 1)) == ["int"]


def test_a_broker_without_buffers_gets_none():
    with module(max_buffer=0) as (forked, digest):
        assert len(value(forked, bundle_call(digest, "m:buffers", 2, MIB))) == 2
        assert forked.buffers == []


def test_buffers_that_do_not_fit(files):
    with module() as (forked, digest):
        body, buffers = call(digest, "m:kinds", LARGE)
        for wrong in ([], [LARGE[1:]], [LARGE, LARGE]):
            failure = forked.failure(body, buffers=files(wrong))
            assert failure.type == "ProtocolError"
            assert "buffers of the arguments" in failure.message
        assert value(forked, body, buffers=files(buffers)) == ["bytes"]


def test_whoever_sends_source_gets_a_whole_value():
    """A program that submits source text reads msgpack, not pickles."""
    text = f"def f():\n    return bytes({2 * MIB})\n"
    with module() as (forked, _):
        outcome, _, _, answer, _ = forked.run(source_call(text, "f"))
        assert outcome == 1 and forked.buffers == []
        assert _envelope.decode_value(answer) == bytes(2 * MIB)


def test_a_job_that_never_loads_its_arguments_leaves_nothing_open(files):
    with module() as (forked, digest):
        body, buffers = call(digest, "m:no_such_function", LARGE, bytearray(LARGE))
        paths = files(buffers)
        opened = set()
        for _ in range(3):
            assert forked.failure(body, buffers=paths).type == "AttributeError"
            opened.add(len(os.listdir(f"/proc/{forked.pid}/fd")))
        assert len(opened) == 1
