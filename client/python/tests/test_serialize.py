# SPDX-License-Identifier: MIT
"""Functions by name and by value, arguments, and what is refused before it is sent."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import math
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path

import pytest
from remote import SOURCE, run, value_of

from understudy import Executor
from understudy.exceptions import (
    PayloadTooLarge,
    PythonVersionError,
    SerializationError,
)

TESTS = str(Path(__file__).resolve().parent)


@pytest.fixture
def executor(core):
    return Executor("c")


def test_functions_of_modules_go_by_name(executor, project):
    project(
        "shapes.py", "from sizes import scale\ndef area(a, b): return scale(a * b)\n"
    )
    project("sizes.py", "def scale(n): return 10 * n\n")
    shapes = importlib.import_module("shapes")
    result = executor.submit(shapes.area, 2, b=3)
    assert b"shapes:area" in result._job.submitted
    assert result._job.options["python"] is None
    assert value_of(result) == 60


def test_a_long_lived_client_forgets_old_bundles(core, project):
    """Each argument brings a module of its own, so each bundle is another one."""
    project(
        "jobs.py",
        """
        from understudy.decorators import understudy

        @understudy("c")
        def name_of(thing):
            return type(thing).__name__
        """,
    )
    name_of = importlib.import_module("jobs").name_of
    blobs, things = weakref.WeakSet(), []
    for n in range(200):
        project(f"thing{n}.py", f"class Thing{n}: pass\n")
        things.append(getattr(importlib.import_module(f"thing{n}"), f"Thing{n}")())
        submitted = name_of(things[-1])._job.options["blobs"]
        again = name_of(things[-1])._job.options["blobs"]
        assert again[0] is submitted[0]  # while it is in use it is made once
        blobs.update(submitted)
    assert len(blobs) == 200
    del submitted, again
    for client in core.Client.made:
        for job in client.jobs:
            job.options["blobs"] = ()  # the real one knows when a job has ended
    gc.collect()
    assert len(blobs) <= 100
    assert value_of(name_of(things[0])) == "Thing0"


def test_the_standard_library_and_builtins(executor):
    assert value_of(executor.submit(math.sqrt, 16)) == 4.0
    assert value_of(executor.submit(pow, 2, 5)) == 32
    assert value_of(executor.submit(json.loads, "[1]")) == [1]
    assert value_of(executor.submit(str.upper, "a")) == "A"
    assert value_of(executor.submit("a-b".split, "-")) == ["a", "b"]


def test_lambdas_closures_and_partials_go_by_value(executor, project):
    project("sizes.py", "import beside\ndef scale(n): return 10 * n\n")
    project("beside.py")
    sizes = importlib.import_module("sizes")
    n = 4
    assert value_of(executor.submit(lambda x: x + n, 1)) == 5
    assert value_of(executor.submit(lambda x: sizes.scale(x), 1)) == 10
    assert value_of(executor.submit(functools.partial(sizes.scale, 3))) == 30

    def inside(x):
        from sizes import scale

        return scale(x)

    result = executor.submit(inside, 2)
    assert result._job.options["python"] == "{}.{}".format(*sys.version_info[:2])
    assert value_of(result) == 20


def test_what_a_closure_captures_is_as_it_is_now(executor):
    n = 1
    values = []

    def f():
        return n, len(values)

    first = executor.submit(f)
    n = 2
    second = executor.submit(f)
    values.append(1)
    third = executor.submit(f)
    assert [value_of(r) for r in (first, second, third)] == [(1, 0), (2, 0), (2, 1)]


def test_a_function_by_value_is_pickled_once_while_nothing_changes(executor):
    n = 1

    def f(x, y=1):
        return math.floor(x) + y + n

    def code():
        executor.submit(f, 1.5)
        (caller,) = executor._callers.values()
        return caller._codes[id(f)]

    first = code()
    assert code() is first
    n = 2
    assert code() is not first


def test_bound_methods(executor, project):
    project(
        "shapes.py",
        """
        class Box:
            def __init__(self, n): self.n = n
            def times(self, m): return self.n * m
            @classmethod
            def make(cls, n): return cls(n).n
        """,
    )
    shapes = importlib.import_module("shapes")
    assert value_of(executor.submit(shapes.Box(3).times, 4)) == 12
    assert value_of(executor.submit(shapes.Box.make, 4)) == 4


def test_arguments_bring_the_modules_of_their_classes(executor, project):
    project("one.py", "def size(things): return sum(t.size for t in things)\n")
    project("two.py", "import three\nclass Thing:\n    size = three.SIZE\n")
    project("three.py", "SIZE = 7\n")
    one, two = importlib.import_module("one"), importlib.import_module("two")
    assert value_of(executor.submit(one.size, [two.Thing(), two.Thing()])) == 14


def test_code_as_an_argument(executor, project):
    project("one.py", "def call(f, *args): return f(*args)\n")
    one = importlib.import_module("one")
    k = 3
    result = executor.submit(one.call, lambda x: x * k, 5)
    assert result._job.options["python"] is not None
    assert value_of(result) == 15


def test_results_that_are_not_plain(executor, project):
    project("two.py", "class Thing:\n    def __init__(self, n): self.n = n\n")
    two = importlib.import_module("two")
    assert value_of(executor.submit(two.Thing, 4)).n == 4
    project("make.py", "import two\ndef make(n): return {1: two.Thing(n), 2: (n,)}\n")
    make = importlib.import_module("make")
    value = value_of(executor.submit(make.make, 4))
    assert type(value[1]) is two.Thing
    assert (value[1].n, value[2]) == (4, (4,))


def test_what_cannot_be_pickled_is_named(executor, project):
    project("shapes.py", "class Box:\n    pass\ndef use(box, other=None): pass\n")
    shapes = importlib.import_module("shapes")
    box = shapes.Box()
    box.inner = {"key": threading.Lock()}
    with pytest.raises(SerializationError) as caught:
        executor.submit(shapes.use, 1, other=box).result(0)
    assert "other.inner['key'] (type _thread.lock) of shapes.use" in str(caught.value)
    with pytest.raises(SerializationError, match=r"box\.inner"):
        executor.submit(shapes.use, box).result(0)


def test_what_is_too_large_is_named(executor, project):
    project("shapes.py", "def use(small, data=None): pass\n")
    shapes = importlib.import_module("shapes")
    executor.submit(shapes.use, 1)
    client = next(iter(executor._callers.values())).client()
    client.core.max_payload = 1 << 20
    with pytest.raises(PayloadTooLarge) as caught:
        executor.submit(shapes.use, b"abc", data="x" * (3 << 20)).result(0)
    assert "argument data (type str) of shapes.use is 3.0 MiB" in str(caught.value)
    assert "the limit is 1.0 MiB (1048576 bytes)" in str(caught.value)
    client.core.max_buffer = 2 << 20
    with pytest.raises(PayloadTooLarge) as caught:
        executor.submit(shapes.use, b"abc", data=bytes(3 << 20)).result(0)
    assert "a buffer of argument data (type bytes) of shapes.use has 3145728" in str(
        caught.value
    )


def test_the_largest_buffers_go_apart(executor, project):
    project("shapes.py", "def use(*parts): pass\n")
    shapes = importlib.import_module("shapes")
    executor.submit(shapes.use, *(bytes((1 << 20) + i) for i in range(12)))
    job = next(iter(executor._callers.values())).client().core.jobs[-1]
    sizes = [blob.size for blob in job.options["buffers"]]
    assert sizes == [(1 << 20) + i for i in range(2, 12)]
    assert len(job.submitted) > 2 << 20


def test_by_value_for_another_python(core):
    other = "3.99"
    executor = Executor("c", python=other)
    assert executor.submit(math.sqrt, 4)._job.options["python"] == other
    with pytest.raises(PythonVersionError, match=r"3\.99"):
        executor.submit(lambda: 1)


def test_missing_packages(executor):
    def uses():
        import pytest

        return pytest

    with pytest.raises(SerializationError, match=r"line \d+ imports pytest; add it"):
        executor.submit(uses).result(0)
    with pytest.raises(
        SerializationError, match=r"`test_serialize.py` line \d+ imports"
    ):
        executor.submit(lambda: pytest.mark).result(0)
    with pytest.raises(
        SerializationError, match="arguments of .*: _?pytest is needed; add"
    ):
        executor.submit(len, [pytest.approx(1)]).result(0)

    def may_fail():
        try:
            import no_such_module_anywhere
        except ImportError:
            return None
        return no_such_module_anywhere

    assert value_of(executor.submit(may_fail)) is None


MAIN = """
    import sys
    import {helper} as helper
    from understudy import Executor
    from understudy.decorators import understudy

    class Point:
        def __init__(self, x): self.x = x
        def __eq__(self, other): return self.x == other.x

    class Adder:
        @understudy
        def add(self, point, n):
            self.logger.info("adding")
            return Point(helper.plus(point.x, n))

        def unused(self):
            return top()

    def top():
        return helper.plus(1, 1)

    def main():
        import fake_core
        sys.modules["understudy._core"] = fake_core
        sys.path.insert(0, {tests!r})
        from remote import value_of
        result = Adder().add(Point(1), 2)
        value = value_of(result)
        assert type(value) is Point and value == Point(3), value
        assert value_of(Executor().submit(top)) == 2
        failed = Executor().submit(helper.plus, 1, "a")
        by_name = b":Adder.add" in result._job.submitted
        print("by name" if by_name else "by value", flush=True)

    if __name__ == "__main__":
        if len(sys.argv) == 1:
            main()
        else:
            import multiprocessing
            process = multiprocessing.get_context(sys.argv[1]).Process(target=main)
            process.start()
            process.join()
            sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("child", [[], ["fork"], ["spawn"]])
@pytest.mark.parametrize("how", ["script", "module", "stdin"])
def test_main(tmp_path, how, child):
    if how == "stdin" and child == ["spawn"]:
        child = ["fork"]  # a spawned process could not read the program again
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("def plus(a, b): return a + b\n")
    source = textwrap.dedent(MAIN).format(helper="pkg.helper", tests=TESTS)
    (package / "main.py").write_text(source)
    (tmp_path / "main.py").write_text(source)
    command = {
        "script": ["main.py"],
        "module": ["-m", "pkg.main"],
        "stdin": ["-"],
    }[how]
    done = subprocess.run(
        [sys.executable, *command, *child],
        input=source,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{SOURCE}:{TESTS}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "by value"


def test_the_same_function_after_it_failed(executor, project):
    project("bad.py", "def f(x): return 1 / x\n")
    bad = importlib.import_module("bad")
    result = executor.submit(bad.f, 0)
    run(result._job)
    with pytest.raises(ZeroDivisionError) as caught:
        result.get()
    cause = str(caught.value.__cause__)
    assert "def f(x): return 1 / x" in cause
    assert bad.__file__ in cause
    assert "ZeroDivisionError: division by zero" in cause
