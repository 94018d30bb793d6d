# SPDX-License-Identifier: MIT
"""Zygote and worker as the node daemon sees them: docs/worker-protocol.md."""

import os
import pathlib
import pickle
import resource
import signal
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from worker_harness import (  # noqa: E402
    DEADLINE,
    INLINE,
    MAIN,
    bundle_call,
    end_group,
    is_alive,
    source_call,
    until,
    worker,
    zygote,
)

from understudy import _envelope, exceptions  # noqa: E402
from understudy._msgpack import packb  # noqa: E402

SUCCEEDED, FAILED, CANCELLED = 1, 2, 4
CHILDREN_LEFT, REPLACE_ME = 2, 4


def echo(text):
    return source_call(text, "f")


# --- Starting -------------------------------------------------------------------------


def test_start_and_leave():
    with zygote() as running:
        assert running.hello == {"python": sys.version.split()[0].rstrip("+")}
        forked = running.fork()
        with open(f"/proc/{forked.pid}/cmdline", "rb") as line:
            assert line.read().startswith(b"understudy-worker")
        with open(f"/proc/{running.process.pid}/cmdline", "rb") as line:
            assert b"understudy-zygote" in line.read()
        assert os.getpgid(forked.pid) == forked.pid
        assert os.getsid(forked.pid) == forked.pid
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0
        forked.close()
    assert running.process.returncode == 0


def test_what_a_job_finds():
    source = """
import os, random, sys, understudy, understudy._context
def f():
    print(os.read(0, 10))
    main = sys.modules["__main__"]
    return [sys.path[-1], sys.argv, hasattr(main, "main"),
            understudy._context.in_worker, os.getcwd() != "",
            "understudy._core" in sys.modules, random.random()]
"""
    with zygote() as running:
        numbers = []
        for _ in range(2):
            forked = running.fork()
            *found, number = forked.value(echo(source))
            numbers.append(number)
            path = str(MAIN.parents[2])
            assert found == [path, ["understudy-worker"], False, True, True, False]
            forked.close()
        assert numbers[0] != numbers[1]


def test_many_workers_unpack_the_same_bundle():
    files = {"pkg/__init__.py": "from .a import A\n", "pkg/a.py": "A = 7\n"}
    with zygote() as one, zygote() as two:
        two.cache = one.cache
        bundle = one.bundle(files)
        workers = [z.fork(bundle) for z in (one, two, one, two)]
        source = "def f():\n    import pkg\n    return [pkg.A, pkg.__file__]\n"
        for forked in workers:
            call = bundle_call(bundle[0], "os:getcwd")
            forked.run(call)
            value, place = forked.value(echo(source))
            assert value == 7
            assert place == str(
                one.cache / "bundles" / bundle[0].hex() / "pkg/__init__.py"
            )
            forked.close()
        assert os.listdir(one.cache / "bundles") == [bundle[0].hex()]


def test_a_damaged_cache_is_mended():
    files = {"m.py": "def f():\n    return 1\n"}
    with zygote() as running:
        bundle = running.bundle(files)
        place = running.cache / "bundles" / bundle[0].hex()
        place.mkdir(parents=True)
        (place / "m.py").write_text("")  # as after a power failure
        forked = running.fork(bundle)
        assert forked.value(bundle_call(bundle[0], "m:f")) == 1
        forked.close()
        assert os.listdir(running.cache / "bundles") == [bundle[0].hex()]


def test_a_file_of_the_same_size_is_not_believed():
    """As after a damage to the disk, while no zygote ran."""
    files = {"m.py": "def f():\n    return 1\n"}
    with zygote() as running:
        bundle = running.bundle(files)
        place = running.cache / "bundles" / bundle[0].hex()
        place.mkdir(parents=True)
        (place / "m.py").write_text("def f():\n    return 2\n")
        forked = running.fork(bundle)
        assert forked.value(bundle_call(bundle[0], "m:f")) == 1
        forked.close()
        assert os.listdir(running.cache / "bundles") == [bundle[0].hex()]


EDITS = {
    "a file": "edit(here, text.replace('1', '2'))",
    "a file, with its old times": "edit(here, text.replace('1', '2'))\n"
    "    os.utime(here, ns=(before.st_atime_ns, before.st_mtime_ns))",
    "a file that is another now": "edit(here + '.new', text.replace('1', '2'))\n"
    "    os.rename(here + '.new', here)",
    "a link": "edit(folder + '/other', text.replace('1', '2'))\n"
    "    os.remove(here); os.symlink('other', here)",
    "a file more": "edit(folder + '/late.py', 'A = 2')",
    "a folder more": "os.mkdir(folder + '/late')\n"
    "    edit(folder + '/late/__init__.py', '')",
    "a file less": "os.remove(here)",
    "all": "import shutil; shutil.rmtree(folder)",
}
EDITED = """
import os, sys
def edit(path, text):
    with open(path, "w") as out:
        out.write(text)
def f():
    import m
    here, folder = m.__file__, os.path.dirname(m.__file__)
    before = os.stat(here)
    with open(here) as stream:
        text = stream.read()
    os.chmod(here, 0o644)
    {}
    return m.f()
"""


def test_what_a_job_does_to_its_modules_is_not_what_the_next_one_finds():
    files = {"m.py": "def f():\n    return 1\n", "pkg/__init__.py": ""}
    look = "def f():\n    import m\n    try:\n        import late\n"
    look += "    except ImportError:\n        return m.f()\n"
    with zygote() as one, zygote() as two:
        two.cache = one.cache
        bundle = one.bundle(files)
        for name, edit in EDITS.items():
            forked = one.fork(bundle)
            assert forked.value(echo(EDITED.format(edit))) == 1
            forked.close()
            for running in (one, two):
                forked = running.fork(bundle)
                assert forked.value(echo(look)) == 1, name
                forked.close()
            assert os.listdir(one.cache / "bundles") == [bundle[0].hex()]


def test_a_damaged_blob_is_not_unpacked():
    """It is removed, so that the daemon fetches it anew before the next worker."""
    with zygote() as running:
        digest, path = running.bundle({"m.py": "def f():\n    return 1\n"})
        sound = pathlib.Path(path).read_bytes()
        pathlib.Path(path).write_bytes(sound.replace(b"1", b"2"))
        running.ask([1, 2], [[digest, path]], {})
        assert b"damaged" in running.control.recv(1000)
        assert not os.path.exists(path)
        assert not (running.cache / "bundles" / digest.hex()).exists()
        pathlib.Path(path).write_bytes(sound)
        forked = running.fork([digest, path])
        assert forked.value(bundle_call(digest, "m:f")) == 1
        forked.close()


def test_a_fork_that_fails_lets_go_of_its_bundles():
    with zygote() as running:
        bundle = running.bundle({"m.py": "A = 1\n"})
        before = running.descriptors()
        running.fork(bundle).close()
        until(lambda: running.descriptors() == before, "the end of the worker")
        # Room for what is sent and for the bundle, but not for a pipe.
        free = [fd for fd in range(100) if fd not in before]
        limits = (free[4], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, limits)
        running.ask([1, 2], [bundle], {})
        assert b"Too many open files" in running.control.recv(1000)
        until(lambda: running.descriptors() == before, "what was let go of")


def test_bundles_that_cannot_be_used():
    with zygote() as running:
        missing = [bytes(32), str(running.cache / "nothing")]
        for bundle, code in (
            (running.blob(b"junk"), exceptions.ProtocolError.code),
            (running.blob(packb({"../x.py": b""})), exceptions.ProtocolError.code),
            (missing, exceptions.SystemFailure.code),
        ):
            forked = running.fork(bundle)
            assert forked.hello[:1] == b"X"
            failure = _envelope.Failure.decode(forked.hello[1:])
            assert failure.code == code and "cannot be unpacked" in failure.message
            forked.close()
        assert not (running.cache.parent / "x.py").exists()
        running.control.send(b"F" + b"\xc1")
        assert running.control.recv(INLINE)[:1] == b"E"
        forked = running.fork()
        assert forked.value(echo("def f(): return 1")) == 1
        forked.close()


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
    none = _envelope.encode_args((), {})
    with worker() as (forked, _):
        for body in (
            b"",
            b"\xc1",
            b"\x93\x01",
            b"\x93\x02\x80\xc0",
            _envelope.encode_call(packb({}), none),
            _envelope.encode_call(code, none),
            _envelope.encode_call(packb({"bundle": 1, "function": "m:f"}), none),
            _envelope.encode_call(packb({"source": "def f(): 0", "function": 1}), none),
            source_call("def f(): pass", "f") + b"\xc0",
            _envelope.encode_call(
                _envelope.code_source("def f(): 0", "f"), b"\x91\x01"
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
        args = _envelope.encode_args(args, kwargs, dumps)
        return _envelope.encode_call(code, args)


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
            body = _envelope.encode_call(code, _envelope.encode_args((), {}))
            failure = forked.failure(body)
            assert failure.code == exceptions.PythonVersionError.code
            assert python in failure.message and _envelope.PYTHON in failure.message
            args = packb(["p", python, True, b"x"])
            code = _envelope.code_source("def f(): pass", "f")
            failure = forked.failure(_envelope.encode_call(code, args))
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


# --- The log --------------------------------------------------------------------------


def test_log_in_order():
    source = """
import logging, os, subprocess, sys
def f():
    print("one")
    print("two", file=sys.stderr)
    logging.info("three")
    logging.debug("not this")
    logging.getLogger("some.where").warning("four %d", 4)
    os.write(1, b"five\\n")
    subprocess.run(["echo", "six"])
    sys.stdout.write("no newline at the end")
"""
    with worker() as (forked, _):
        expected = b"one\ntwo\nthree\nfour 4\nfive\nsix\nno newline at the end"
        for _ in range(2):
            outcome, flags, _, _, log = forked.run(echo(source))
            assert (outcome, flags, log) == (SUCCEEDED, 0, expected)


def test_output_of_c_code():
    source = """
import ctypes
def f():
    ctypes.CDLL(None).printf(b"from C")
"""
    with worker() as (forked, _):
        assert forked.run(echo(source))[4] == b"from C"


HOSTILE_OUTPUT = {
    "import os, sys\nos.close(1); os.close(2); print('lost?')": b"lost?\n",
    "import sys\nsys.stdout.close(); sys.stderr.close()": b"",
    "import sys\nprint('a', end=''); sys.stdout = sys.stderr = None": b"a",
    "import sys\nsys.stdout.detach(); sys.stderr.detach()": b"",
    "import io, sys\nsys.stdout = io.StringIO(); print('swallowed')": b"",
    "import os\nos.dup2(os.open('/dev/null', 1), 1); print('x', flush=True)": b"",
    "import os\nos.set_blocking(1, False); print('x' * 300000)": b"x" * 300000 + b"\n",
    "import sys\nsys.stdout.buffer.write(bytes(range(256)))": bytes(range(256)),
    "import sys\nclass Bad:\n  def flush(self): 1 / 0\nsys.stdout = Bad()": b"",
    "import logging\nlogging.basicConfig(force=True)\nlogging.disable(50)": b"",
    "import logging\nlogging.getLogger().handlers.clear()": b"",
    "import os, signal\n"
    "os.chdir('/'); os.environ['NEW'] = '1'; del os.environ['HOME']\n"
    "signal.signal(signal.SIGUSR1, signal.SIG_IGN); signal.alarm(1000)": b"",
}

CHECK = """
import logging, os, signal, sys
def f():
    print("out")
    print("err", file=sys.stderr)
    logging.info("log")
    return [os.getcwd(), sorted(os.environ), signal.getitimer(signal.ITIMER_REAL)[0]]
"""


def test_what_jobs_do_to_the_worker_is_undone():
    with worker() as (forked, _):
        before = forked.value(echo(CHECK))
        for text, expected in HOSTILE_OUTPUT.items():
            lines = [f"    {line}\n" for line in text.split("\n")]
            seq = forked.send_job(echo("def f():\n" + "".join(lines)))
            log = forked.read_log(seq)
            forked.pending = b""
            data = forked.socket.recv(INLINE)
            if "set_blocking" not in text:
                assert log == expected, text
            assert data[5] in (SUCCEEDED, FAILED) and data[6] == 0, (text, data)
            outcome, flags, _, body, log = forked.run(echo(CHECK))
            assert (outcome, flags, log) == (SUCCEEDED, 0, b"out\nerr\nlog\n"), text
            assert _envelope.decode_value(body) == before, text


def test_much_output_without_newline():
    size = 64 * 1024 * 1024
    source = f"import sys\ndef f():\n    sys.stdout.write('x' * {size})\n"
    with worker() as (forked, _):
        forked.send_job(echo(source))
        count = 0
        while count < size:
            chunk = forked.read_some()
            assert chunk
            count += len(chunk)
            forked.pending = chunk[len(chunk) - max(0, count - size) :]
        assert forked.result()[4] == b""


# --- Ends, children, threads ----------------------------------------------------------


def test_death():
    with zygote() as running:
        for text, status in (
            ("os._exit(0)", 0),
            ("os._exit(7)", 7),
            ("os.kill(os.getpid(), 9)", -9),
            ("os.abort()", -signal.SIGABRT),
            ("ctypes.string_at(0)", -signal.SIGSEGV),
        ):
            forked = running.fork()
            forked.send_job(echo(f"import ctypes, os\ndef f():\n    {text}\n"))
            assert forked.wait_end() == status, text
            forked.close()


def test_descriptors_that_a_job_closes_or_writes_to():
    with zygote() as running:
        forked = running.fork()
        forked.send_job(echo("import os\ndef f(): os.closerange(3, 65536)\n"))
        assert forked.wait_end() == 70
        forked.close()
        forked = running.fork()
        source = """
import os
def f():
    done = []
    for fd in range(3, 256):
        try:
            os.write(fd, b"junk")
            done.append(fd)
        except OSError:
            pass
    return done
"""
        assert forked.value(echo(source)) == []
        forked.close()


def test_daemon_closes_the_log():
    with worker() as (forked, _):
        os.close(forked.log)
        forked.log = os.open(os.devnull, os.O_RDONLY)
        forked.send_job(echo("def f(): pass"))
        assert forked.wait_end() == 70


def test_children_left():
    run = "import os, subprocess\ndef f():\n    {}\n"
    for left in (
        "subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL)",
        "os.system('sleep 1000 >/dev/null 2>&1 &')",
    ):
        with worker() as (forked, _):  # of its own: the other's is left already
            outcome, flags, _, _, _ = forked.run(echo(run.format(left)))
            assert (outcome, flags) == (SUCCEEDED, CHILDREN_LEFT), left


def test_children_that_have_ended_are_not_left():
    source = """
import os, subprocess
def f():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
"""
    with worker() as (forked, _):
        assert forked.run(echo(source))[1] == 0


def test_forked_child_does_not_go_on_as_worker():
    source = """
import os, sys
def f(how):
    pid = os.fork()
    if pid == 0:
        if how == "return":
            return "child"
        if how == "exit":
            sys.exit(3)
        raise ValueError("in child")
    return os.waitpid(pid, 0)[1] >> 8
"""
    with worker() as (forked, _):
        for how, status in (("return", 1), ("exit", 3), ("raise", 1)):
            outcome, flags, _, body, log = forked.run(source_call(source, "f", how))
            assert (outcome, flags) == (SUCCEEDED, 0)
            assert _envelope.decode_value(body) == status
            assert (b"in child" in log) == (how == "raise")


def test_threads_left():
    source = """
import threading
def f(daemon):
    threading.Thread(target=threading.Event().wait, daemon=daemon).start()
"""
    with worker() as (forked, _):
        assert forked.run(source_call(source, "f", True))[1] == 0
        assert forked.run(source_call(source, "f", False))[1] == REPLACE_ME
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0


def test_exit_handlers_run_at_the_end():
    source = """
import atexit
def f(path):
    atexit.register(lambda: open(path, "w").close())
"""
    with zygote() as running:
        forked = running.fork()
        mark = running.cache / "left"
        forked.run(source_call(source, "f", str(mark)))
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0 and mark.exists()
        forked.close()


# --- Interrupts -----------------------------------------------------------------------

SLEEPER = """
import time
def f():
    try:
        print("begun", flush=True)
        time.sleep(1000)
    finally:
        print("cleaned up")
def stubborn():
    try:
        print("begun", flush=True)
        time.sleep(1000)
    except Exception:
        return "went on"
"""


def begun(forked):
    while b"begun" not in forked.pending:
        forked.pending += forked.read_some()


def test_cancel_and_soft_limit():
    with worker() as (forked, _):
        for why, outcome, error in (
            (1, CANCELLED, exceptions.JobCancelled),
            (2, FAILED, exceptions.TimeLimitExceeded),
        ):
            seq = forked.send_job(source_call(SLEEPER, "f"), soft_ms=1500)
            begun(forked)
            forked.interrupt(seq, why)
            got, flags, code, body, log = forked.result()
            assert (got, flags, code) == (outcome, 0, error.code)
            assert log == b"begun\ncleaned up\n"
            if why == 2:
                failure = _envelope.Failure.decode(body)
                assert failure.type == "TimeLimitExceeded"
                assert "1.5 s" in failure.message and failure.frames[0][2] == "f"
            else:
                assert body == b""
        seq = forked.send_job(source_call(SLEEPER, "stubborn"))
        begun(forked)
        forked.interrupt(seq)
        assert _envelope.decode_value(forked.result()[3]) == "went on"


def test_interrupts_that_come_early_or_late():
    quick = echo("def f(): return 1")
    with worker() as (forked, _):
        assert forked.value(quick) == 1
        forked.interrupt(forked.seq)  # late
        assert forked.value(quick) == 1
        # Together with the job, before the worker has looked.
        os.kill(forked.pid, signal.SIGSTOP)
        seq = forked.send_job(source_call(SLEEPER, "f"))
        forked.interrupt(seq)
        os.kill(forked.pid, signal.SIGCONT)
        assert forked.result()[0] == CANCELLED
        # Many jobs, many interrupts: none hits the wrong one, the worker lives.
        for _ in range(300):
            seq = forked.send_job(quick)
            forked.interrupt(seq)
            assert forked.result()[0] in (SUCCEEDED, CANCELLED)
        assert forked.value(quick) == 1


def test_the_daemon_takes_jobs_back():
    with worker() as (forked, _):
        seq = forked.send_job(source_call(SLEEPER, "f"))
        begun(forked)
        forked.send_job(echo("def f(): return 2"))
        taken = forked.theirs.recv(INLINE)
        assert taken[:1] == b"J"
        forked.seq = seq
        forked.interrupt(seq)
        assert forked.result()[0] == CANCELLED


def test_hard_limit():
    with worker() as (forked, _):
        forked.send_job(echo("def f():\n    while True: pass\n"))
        os.killpg(forked.pid, signal.SIGTERM)
        assert forked.wait_end() == -signal.SIGTERM


# --- Shell ----------------------------------------------------------------------------


def test_shell():
    with worker() as (forked, _):
        outcome, flags, _, body, log = forked.run(b'echo "test"', shell=True)
        assert (outcome, flags, log) == (SUCCEEDED, 0, b"test\n")
        assert _envelope.decode_value(body) == "test\n"
        assert forked.value(b"printf '\\377\\376'", shell=True) == b"\xff\xfe"
        assert forked.run(b"echo err >&2", shell=True)[4] == b"err\n"
        assert forked.value(b"cat; echo $0", shell=True) == "/bin/sh\n"
        assert forked.value(b"head -c 3000000 /dev/zero", shell=True) == "\0" * 3000000
        failure = forked.failure(b"echo said; exit 3", shell=True)
        assert failure.code == exceptions.ShellError.code
        assert failure.type == "ShellError"
        assert failure.detail["exit_code"] == 3 and failure.detail["output"] == "said\n"
        failure = forked.failure(b"kill -9 $$", shell=True)
        assert failure.detail["signal"] == 9 and "exit_code" not in failure.detail


def test_shell_command_over_the_limit():
    """A client of another make has not refused it."""
    longest = 32 * os.sysconf("SC_PAGESIZE") - 1
    with worker() as (forked, _):
        assert forked.value(b"echo ok".ljust(longest), shell=True) == "ok\n"
        failure = forked.failure(b"echo no".ljust(longest + 1), shell=True)
        assert failure.type == "PayloadTooLarge"
        assert f"{longest + 1} bytes" in failure.message
        assert f"limit of this node is {longest}" in failure.message


def test_shell_output_over_the_limit():
    with worker(max_payload=1000) as (forked, _):
        assert forked.value(b"head -c 1000 /dev/zero", shell=True) == "\0" * 1000
        failure = forked.failure(b"head -c 1001 /dev/zero", shell=True)
        assert failure.code == exceptions.PayloadTooLarge.code
        assert "1001" in failure.message and "1000" in failure.message


def test_shell_leaves_something_running():
    for command in (
        b"sleep 1000 & echo on",
        b"sleep 1000 >/dev/null 2>&1 & echo on",
    ):
        with worker() as (forked, _):
            outcome, flags, _, body, _ = forked.run(command, shell=True)
            assert (outcome, flags) == (SUCCEEDED, CHILDREN_LEFT)
            assert _envelope.decode_value(body) == "on\n"


def test_shell_is_interrupted():
    with worker() as (forked, _):
        seq = forked.send_job(b"sleep 1000 & echo begun $!; sleep 1000", shell=True)
        begun(forked)
        until(lambda: b"\n" in forked.pending or _more(forked), "the child's number")
        child = int(forked.pending.split()[1])
        forked.interrupt(seq)
        outcome, flags, _, _, _ = forked.result()
        assert outcome == CANCELLED
        until(lambda: not is_alive(child), "the end of the shell's child")
        assert forked.value(b"echo on", shell=True) == "on\n"


def _more(forked):
    forked.pending += forked.read_some()
    return False


# --- The end of the daemon ------------------------------------------------------------

DAEMON = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from worker_harness import *
running = Zygote({directory!r})
idle, busy, shell = running.fork(), running.fork(), running.fork()
busy.send_job(source_call("import time\\ndef f():\\n    while True: pass\\n", "f"))
shell.send_job(b"sleep 1000 & echo $!; sleep 1000", shell=True)
while b"\\n" not in shell.pending:
    shell.pending += shell.read_some()
pids = [running.process.pid, idle.pid, busy.pid, shell.pid, int(shell.pending)]
print(*pids, flush=True)
signal.pause()
"""


def test_nothing_outlives_the_daemon():
    with zygote() as running:
        text = DAEMON.format(
            tests=str(pathlib.Path(__file__).parent), directory=str(running.cache)
        )
        daemon = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
        try:
            pids = [int(word) for word in daemon.stdout.readline().split()]
            assert len(pids) == 5 and all(map(is_alive, pids))
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        for pid in pids:
            until(lambda pid=pid: not is_alive(pid), f"the end of {pid}")
        for pid in pids:
            end_group(pid)  # they are zombies by now, and this process their parent


def test_zygote_ends_and_workers_go_on():
    with zygote() as running:
        forked = running.fork()
        running.control.shutdown(2)
        assert running.process.wait(DEADLINE) == 0
        assert forked.value(echo("def f(): return 1")) == 1
        forked.close()


def test_structures():
    assert struct.calcsize(">xIB16sIIH") == 32
    assert pickle.HIGHEST_PROTOCOL >= _envelope.PICKLE_PROTOCOL


if __name__ == "__main__":
    from worker_harness import run_tests

    run_tests(globals())
