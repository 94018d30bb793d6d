# SPDX-License-Identifier: MIT
"""Large buffers: copied, stored and sent once, mapped into the worker, given back."""

import json
import os
import signal
import textwrap

import pytest

pytestmark = pytest.mark.core

MIB = 1 << 20

HEAD = """
    import hashlib
    import os
    import pickle

    from understudy.decorators import understudy
    from understudy.exceptions import PayloadTooLarge, UnderstudyError

    MIB = 1 << 20


    class Array:
        '''Pickles its memory out of band, as an array does.'''

        def __init__(self, buffer):
            self.memory = memoryview(buffer)

        def __reduce_ex__(self, protocol):
            return Array, (pickle.PickleBuffer(self.memory),)


    """


def script(text):
    return textwrap.dedent(HEAD) + textwrap.dedent(text)


def large_chunks(server):
    """Keys of stored chunks of a MiB."""
    keys = server("KEYS", "us:{b:*}:*")
    return [key for key in keys if server("STRLEN", key) == MIB]


@pytest.fixture
def user(broker, node, client, redis_server):
    broker(redis_server)
    node(channel=["default"], slots=2)
    return client()


def test_many_jobs_share_one_copy(broker, node, client, redis_server, directory):
    broker(redis_server)
    node(channel=["default"], slots=2, cache=directory / "cache")
    said = client().script(
        script("""
        data = os.urandom(8 * MIB)


        @understudy()
        def part(data, i):
            return hashlib.sha256(data[i * 100 :]).hexdigest()


        results = [part(data, i) for i in range(12)]
        right = [hashlib.sha256(data[i * 100 :]).hexdigest() for i in range(12)]
        print([r.get() for r in results] == right)
        """)
    )
    assert said == "True\n"
    assert len(large_chunks(redis_server)) == 8
    files = [path.stat().st_size for path in (directory / "cache/blobs").iterdir()]
    assert [size for size in files if size >= MIB] == [8 * MIB]


def test_what_a_job_writes_into_its_argument_stays_with_it(user):
    said = user.script(
        script("""
        data = Array(bytearray(3 * MIB))


        @understudy(block=True)
        def first(array):
            was, array.memory[0] = array.memory[0], 7
            return was, array.memory[0], type(array.memory.obj).__name__


        print(first(data), first(data), data.memory[0])
        """)
    )
    assert said == "(0, 7, 'mmap') (0, 7, 'mmap') 0\n"


def test_bytes_and_arrays_come_back_as_they_were(user):
    said = user.script(
        script("""
        @understudy(block=True)
        def give(*args, **kwargs):
            return args, kwargs


        raw, change = os.urandom(2 * MIB), bytearray(os.urandom(MIB))
        array = Array(bytearray(2 * MIB))
        given = [raw, {"a": change, "b": array}, "small"]
        (same, sent), more = give(*given[:2], key=raw)
        print(same == raw, type(same), sent["a"] == change, type(sent["a"]))
        print(more["key"] is same, bytes(sent["b"].memory) == bytes(2 * MIB))
        sent["b"].memory[5] = 1  # a result is the caller's own
        print(sent["b"].memory[5], array.memory[5])
        """)
    )
    assert said == ("True <class 'bytes'> True <class 'bytearray'>\nTrue True\n1 0\n")


def test_more_than_a_body_may_have(user, redis_server):
    """Far over max-payload, in argument and result."""
    said = user.script(
        script("""
        @understudy(block=True)
        def turn(data):
            return data[::-1]


        data = os.urandom(MIB) * 80
        print(turn(data) == data[::-1])
        """)
    )
    assert said == "True\n"


def test_over_the_limit_is_said_at_once(broker, node, client):
    broker(max_buffer="2M", max_buffers="3M")
    node(channel=["default"])
    said = client().script(
        script("""
        @understudy(block=True)
        def size(small, data=b"", more=b""):
            return len(data) + len(more)


        @understudy(block=True)
        def make(*sizes):
            return [bytes(size) for size in sizes]


        def tried(call, *args):
            try:
                print(call(*args))
            except PayloadTooLarge as error:
                print(error)


        tried(size, 1, bytes(2 * MIB))
        tried(size, 1, bytes(2 * MIB + 1))
        tried(size, 1, bytes(2 * MIB), b"a" * (2 * MIB))
        tried(make, 2 * MIB + 1)
        tried(make, 2 * MIB, 2 * MIB)
        """)
    )
    lines = said.splitlines()
    assert lines[0] == str(2 * MIB)
    assert lines[1].startswith(
        "a buffer of argument data (type bytes) of size has 2097153 bytes; the limit "
        "is 2097152 (max-buffer"
    )
    assert lines[2].startswith(
        "the buffers of the arguments of size have 4194304 bytes; the limit is 3145728"
    )
    assert lines[3].startswith("a buffer of the result has 2097153 bytes; the limit")
    assert lines[4].startswith("the buffers of the result have 4194304 bytes; the")


def test_more_than_the_store_can_hold_is_said_at_once(make_redis, broker, node, client):
    server = make_redis(maxmemory="64mb")
    broker(server)
    node(channel=["default"])
    user = client()
    said = user.script(
        script("""
        @understudy(block=True)
        def size(data):
            return len(data)


        try:
            size(bytes(33 * MIB))
        except PayloadTooLarge as error:
            print(error)
        """)
    )
    assert "the limit is 33554432" in said and "half of the memory" in said
    status = json.loads(user.ctl("status", "--json").stdout)
    assert status["max_buffer"] == 32 * MIB


def test_many_buffers(user):
    """The smaller ones stay in the pickle."""
    said = user.script(
        script("""
        @understudy(block=True)
        def same(parts):
            return parts


        parts = [os.urandom(MIB + i) for i in range(24)]
        print(same(parts) == parts)
        """)
    )
    assert said == "True\n"


def test_a_job_is_tried_again_with_its_buffers(user, directory):
    mark = directory / "mark"
    said = user.script(
        script(f"""
        @understudy()
        def size(data):
            if not os.path.exists({str(mark)!r}):
                open({str(mark)!r}, "w").close()
                os.kill(os.getpid(), {int(signal.SIGKILL)})
            return len(data)


        result = size(bytes(2 * MIB))
        print(result.get(), result.info["attempt"])
        print(result.uuid)
        """)
    )
    first, job = said.splitlines()
    assert first == f"{2 * MIB} 2"
    again = json.loads(user.ctl("retry", "--json", job).stdout)["id"]
    assert (
        user.script(f"from understudy import Result\nprint(Result({again!r}).get())")
        == f"{2 * MIB}\n"
    )


def test_a_node_that_has_the_file_damaged_gets_it_again(
    broker, node, client, directory
):
    broker()
    node(channel=["default"], slots=1, cache=directory / "cache")
    user = client()
    text = script("""
        @understudy(block=True)
        def digest(data):
            return hashlib.sha256(data).hexdigest()


        data = bytes(range(256)) * 8192
        print(digest(data) == hashlib.sha256(data).hexdigest())
        """)
    assert user.script(text) == "True\n"
    blobs = directory / "cache/blobs"
    (large,) = [path for path in blobs.iterdir() if path.stat().st_size >= MIB]
    with open(large, "r+b") as file:
        os.pwrite(file.fileno(), b"other", 0)
    assert user.script(text) == "True\n"
    large.unlink()
    assert user.script(text) == "True\n"


def test_a_result_that_nobody_waits_for_is_kept(user):
    job = user.script(
        script("""
        @understudy()
        def make():
            return os.urandom(MIB) * 3


        result = make()
        result.accepted()
        print(result.uuid)
        """)
    ).strip()
    said = user.script(f"""
        from understudy import Result

        value = Result({job!r}).get()
        print(len(value) == 3 << 20, value[:9] == value[1 << 20 :][:9])
        """)
    assert said == "True True\n"
    assert "pickle" in user.ctl("show", job).stderr


def test_data_alone_is_loaded_where_nobody_is_trusted(user):
    """trust="data" takes large bytes, which travel in a pickle, but no class."""
    said = user.script(
        script("""
        @understudy(block=True, trust="data")
        def make(wanted):
            parts = [bytes(2 * MIB), bytearray(MIB)]
            return Array(parts[1]) if wanted == "array" else {"parts": parts}


        print([type(part).__name__ for part in make("data")["parts"]])
        try:
            make("array")
        except UnderstudyError as error:
            print(error)
        """)
    )
    kinds, refused = said.splitlines()
    assert kinds == "['bytes', 'bytearray']"
    assert "trust='data' loads" in refused
