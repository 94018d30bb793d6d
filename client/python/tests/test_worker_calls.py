# SPDX-License-Identifier: MIT
"""What a worker calls, and how values and failures come back."""

import os
import pathlib
import sys

import envelopes
from worker_harness import (
    INLINE,
    SUCCEEDED,
    bundle_call,
    echo,
    run_tests,
    source_call,
    worker,
    zygote,
)

from understudy import _envelope, exceptions
from understudy._msgpack import packb

# --- Calls ----------------------------------------------------------------------------

METHODS = """
import functools
from understudy.decorators import understudy

def loud(function):
    @functools.wraps(function)
    def inner(*args):
        print("loud")
        return function(*args)
    return inner

class Adder:
    def __init__(self, start=0):
        self.start = start
    @understudy("calculator")
    def add(self, a, b):
        self.logger.info("Adding %s to %s", a, b)
        return self.start + a + b
    @understudy
    @staticmethod
    def static(a):
        return a
    @staticmethod
    @understudy
    def static_too(a):
        return a
    @understudy
    @classmethod
    def cls(cls, a):
        return [cls.__name__, a]
    @classmethod
    @understudy
    def cls_too(cls, a):
        return [cls.__name__, a]

class Slots:
    __slots__ = ()
    @understudy
    def log(self):
        self.logger.warning("from slots")

class Named:
    logger = "mine"
    @understudy
    def name(self):
        return self.logger

@understudy
@loud
def wrapped(a):
    return a

@understudy
def outer(a):
    return wrapped(a) + Adder(a).add(1, 1)

def same(x):
    return x
"""


def test_functions_and_methods():
    with worker({"jobs.py": METHODS}) as (forked, digest):
        place = forked.value(bundle_call(digest, "jobs:same", 1))
        assert place == 1
        sys.path.insert(0, os.path.join(_cache_of(forked), "bundles", digest.hex()))
        try:
            import jobs
        finally:
            del sys.path[0]

        def call(name, *args, **kwargs):
            return bundle_call(digest, f"jobs:{name}", *args, **kwargs)

        try:
            outcome, flags, _, body, log = forked.run(
                call("Adder.add", jobs.Adder(), 1, 1)
            )
            assert (outcome, flags, log) == (SUCCEEDED, 0, b"Adding 1 to 1\n")
            assert _envelope.decode_value(body) == 2
            assert forked.value(call("Adder.add", jobs.Adder(5), a=1, b=1)) == 7
            for name in ("Adder.static", "Adder.static_too"):
                assert forked.value(call(name, 4)) == 4
            for name in ("Adder.cls", "Adder.cls_too"):
                assert forked.value(call(name, jobs.Adder, 4)) == ["Adder", 4]
            assert forked.run(call("Slots.log", jobs.Slots()))[4] == b"from slots\n"
            assert forked.value(call("Named.name", jobs.Named())) == "mine"
            assert forked.run(call("wrapped", 3))[4] == b"loud\n"
            # Decorated functions inside a job run in place, logger and all.
            outcome, _, _, body, log = forked.run(call("outer", 3))
            assert _envelope.decode_value(body) == 8
            assert log == b"loud\nAdding 1 to 1\n"
            # An instance comes back as it went.
            back = forked.value(call("same", jobs.Adder(9)))
            assert type(back) is jobs.Adder and vars(back) == {"start": 9}
        finally:
            del sys.modules["jobs"]


def _cache_of(forked):
    return forked.value(
        echo("def f():\n    import os\n    return os.environ['HOME']\n")
    )


def test_source():
    source = (
        "import sys\nX = []\ndef f(a, *, b=1):\n    X.append(a)\n    return [a, b, X]\n"
    )
    with worker() as (forked, _):
        assert forked.value(source_call(source, "f", 1)) == [1, 1, [1]]
        assert forked.value(source_call(source, "f", 2, b=3)) == [2, 3, [1, 2]]
        failure = forked.failure(source_call(source, "f"))
        assert failure.type == "TypeError" and failure.module == "builtins"
        failure = forked.failure(source_call(source, "nothing"))
        assert failure.type == "AttributeError" and "nothing" in failure.message
        failure = forked.failure(source_call("def f(:\n", "f"))
        assert failure.type == "SyntaxError"
        failure = forked.failure(echo("def f():\n    return 1 / 0\n"))
        assert "    return 1 / 0\n" in failure.traceback
        assert failure.frames[0][1:] == [2, "f"] and len(failure.frames) == 1
        failure = forked.failure(echo("class C: pass\ndef f():\n    return C()\n"))
        assert failure.code == exceptions.SerializationError.code


def test_a_users_module_may_be_named_like_one_of_ours():
    files = {
        "subprocess.py": "def f():\n    return 'mine'\n",
        "jobs.py": "import subprocess\ndef f():\n    return subprocess.f()\n",
    }
    with worker(files) as (forked, digest):
        assert forked.value(bundle_call(digest, "jobs:f")) == "mine"
        assert forked.value(b"echo still", shell=True) == "still\n"


def test_malformed_calls():
    code = _envelope.code_bundle(bytes(32), "m:f")
    none = envelopes.encode_args((), {})
    with worker() as (forked, _):
        for body in (
            b"",
            b"\xc1",
            b"\x93\x01",
            b"\x93\x02\x80\xc0",
            envelopes.encode_call(packb({}), none),
            envelopes.encode_call(code, none),
            envelopes.encode_call(packb({"bundle": 1, "function": "m:f"}), none),
            envelopes.encode_call(packb({"source": "def f(): 0", "function": 1}), none),
            source_call("def f(): pass", "f") + b"\xc0",
            envelopes.encode_call(
                envelopes.code_source("def f(): 0", "f"), b"\x91\x01"
            ),
        ):
            failure = forked.failure(body)
            assert failure.code == exceptions.ProtocolError.code, body
            assert failure.type == "ProtocolError"
        assert forked.value(echo("def f(): return 5")) == 5


# --- By value -------------------------------------------------------------------------


def cloudpickle_files():
    import cloudpickle

    folder = pathlib.Path(cloudpickle.__file__).parent
    return {
        f"cloudpickle/{file.name}": file.read_text() for file in folder.glob("*.py")
    }


def have_cloudpickle():
    try:
        import cloudpickle  # noqa: F401
    except ImportError:
        return False
    return True


class by_value:
    """A worker that has the cloudpickle of this process."""

    def __enter__(self):
        self.zygote = zygote()
        running = self.zygote.__enter__()
        self.blob = running.bundle(cloudpickle_files())
        self.worker = running.fork(self.blob)
        return self

    def __exit__(self, *exc):
        self.worker.close()
        self.zygote.__exit__(*exc)

    def call(self, function, *args, **kwargs):
        import cloudpickle

        def dumps(obj):
            return cloudpickle.dumps(obj, 5), True

        code = _envelope.code_pickle(cloudpickle.dumps(function, 5), self.blob[0])
        args = envelopes.encode_args(args, kwargs, dumps)
        return envelopes.encode_call(code, args)


def make_main_class():
    scope = {"__name__": "__main__"}
    exec("class Point:\n    def __init__(self, x):\n        self.x = x\n", scope)
    return scope["Point"]


def test_by_value():
    if not have_cloudpickle():
        return
    with by_value() as there:
        assert there.worker.value(there.call(lambda a, b=2: a + b, 1)) == 3
        offset = 10
        add = there.call(lambda a: a + offset, 1)
        assert there.worker.value(add) == 11
        # State that a closure brings is the same for each call.
        seen = []
        grow = there.call(lambda: seen.append(1) or len(seen))
        assert [there.worker.value(grow) for _ in range(3)] == [1, 1, 1]
        # The job does not see the cloudpickle that brought it.
        see = there.call(
            lambda: [m for m in __import__("sys").modules if "cloudp" in m]
        )
        assert there.worker.value(see) == []
        # Functions and __main__ classes come back.
        made = there.worker.value(there.call(lambda n: lambda: n, 5))
        assert made() == 5
        point_class = make_main_class()
        outcome, _, _, body, _ = there.worker.run(
            there.call(lambda p: type(p)(p.x + 1), point_class(1))
        )
        assert outcome == SUCCEEDED
        assert body.startswith(
            packb(["p", _envelope.PYTHON, True])[:-1].replace(b"\x93", b"\x94", 1)
        )
        point = _envelope.decode_value(body)
        assert type(point) is point_class and point.x == 2
        # An exception of such a class is pickled, too.
        scope = {"__name__": "__main__"}
        exec("class Oops(Exception): pass\ndef fail(): raise Oops(1)\n", scope)
        failure = there.worker.failure(there.call(scope["fail"]))
        assert failure.type == "Oops" and failure.module == "__main__"
        assert type(_envelope.decode_value(failure.pickle)) is scope["Oops"]


def test_by_value_methods_have_a_logger():
    if not have_cloudpickle():
        return
    scope = {"__name__": "__main__"}
    source = """
class Adder:
    def add(self, a, b):
        self.logger.info("Adding %s to %s", a, b)
        return a + b
"""
    exec(source, scope)
    with by_value() as there:
        adder = scope["Adder"]
        outcome, _, _, body, log = there.worker.run(
            there.call(adder.add, adder(), 1, 1)
        )
        assert outcome == SUCCEEDED and log == b"Adding 1 to 1\n"


def test_code_of_another_python_is_refused():
    with worker() as (forked, _):
        for python in ("2.7", "3.99"):
            code = packb({"pickle": b"x", "python": python, "cloudpickle": bytes(32)})
            body = envelopes.encode_call(code, envelopes.encode_args((), {}))
            failure = forked.failure(body)
            assert failure.code == exceptions.PythonVersionError.code
            assert python in failure.message and _envelope.PYTHON in failure.message
            args = packb(["p", python, True, b"x"])
            code = envelopes.code_source("def f(): pass", "f")
            failure = forked.failure(envelopes.encode_call(code, args))
            assert failure.code == exceptions.PythonVersionError.code


# --- Values and failures --------------------------------------------------------------


def test_values():
    source = "def f(text):\n    import os, datetime\n    return eval(text)\n"
    with worker() as (forked, _):
        for text in ("None", "[1, 'a', {'b': b'c'}]", "1.5", "'é' * 70000"):
            _, _, _, body, _ = forked.run(source_call(source, "f", text))
            assert body[:3] == b"\x92\xa1m"
            assert _envelope.decode_value(body) == eval(text)
        for text in ("(1, 2)", "{1: 2}", "2 ** 80", "{1}", "datetime.date(2000, 1, 2)"):
            assert forked.value(source_call(source, "f", text)) == eval(
                text, {"datetime": __import__("datetime")}
            )


def test_large_bodies():
    source = "def f(x):\n    return x\n"
    with worker() as (forked, _):
        for size in (INLINE - 300, INLINE, INLINE + 1, 5_000_000):
            data = os.urandom(size)
            assert forked.value(source_call(source, "f", data)) == data
        assert forked.value(source_call(source, "f", b"small"), large=True) == b"small"


def test_what_cannot_be_serialised():
    source = """
import threading
def f(): return {"a": [1, threading.Lock()]}
def g(): return (x for x in [])
def h():
    class Bad:
        def __reduce__(self): raise RuntimeError("never")
    return [Bad()]
"""
    with worker() as (forked, _):
        failure = forked.failure(source_call(source, "f"))
        assert failure.code == exceptions.SerializationError.code
        assert failure.type == "SerializationError"
        assert "result['a'][1] (type _thread.lock)" in failure.message
        assert "generator" in forked.failure(source_call(source, "g")).message
        assert "never" in forked.failure(source_call(source, "h")).message


def test_exceptions():
    files = {
        "pkg/__init__.py": "",
        "pkg/jobs.py": """
from .errors import Custom, Twisted, Mute
def f():
    return g()
def g():
    try:
        1 / 0
    except ZeroDivisionError as exc:
        raise Custom("bad", 3) from exc
def twisted():
    raise Twisted(1, 2)
def mute():
    raise Mute
def leave():
    raise SystemExit(3)
def stop():
    raise KeyboardInterrupt
def deep():
    return deep()
def long():
    raise ValueError("x" * 1000000)
""",
        "pkg/errors.py": """
class Custom(Exception): pass
class Twisted(Exception):
    def __init__(self, a, b): super().__init__("one")
class Mute(BaseException):
    def __str__(self): raise RuntimeError
    def __reduce__(self): raise RuntimeError
""",
    }
    with worker(files) as (forked, digest):

        def fail(name):
            return forked.failure(bundle_call(digest, f"pkg.jobs:{name}"))

        failure = fail("f")
        assert failure.code == exceptions.RemoteError.code
        assert (failure.type, failure.module) == ("Custom", "pkg.errors")
        assert failure.message == "('bad', 3)"
        assert failure.frames == [["pkg/jobs.py", 4, "f"], ["pkg/jobs.py", 9, "g"]]
        assert 'File "pkg/jobs.py", line 7, in g' in failure.traceback
        assert "ZeroDivisionError" in failure.traceback
        assert "return g()" in failure.traceback
        assert "_worker" not in failure.traceback
        assert failure.pickle is not None
        failure = fail("twisted")
        assert failure.type == "Twisted" and failure.pickle is None
        failure = fail("mute")
        assert failure.type == "Mute" and "RuntimeError" in failure.message
        failure = fail("leave")
        assert (failure.type, failure.message) == ("SystemExit", "3")
        assert fail("stop").type == "KeyboardInterrupt"
        failure = fail("deep")
        assert failure.type == "RecursionError" and 0 < len(failure.frames) <= 200
        assert len(fail("long").message) < 70000
        failure = fail("absent")
        assert failure.type == "AttributeError"
        failure = forked.failure(bundle_call(digest, "pkg.nothing:f"))
        assert failure.type == "ModuleNotFoundError"
        error = _envelope.decode_value(fail("leave").pickle)
        assert type(error) is SystemExit and error.code == 3


if __name__ == "__main__":
    run_tests(globals())
