# SPDX-License-Identifier: MIT
"""Code travels as people expect: what a script defines, reloads, reads and imports."""

import os
import shutil
import subprocess

import pytest

from support import PYTHON


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel=["default"])
    return client()


def test_a_method_returns_self(user):
    said = user.script("""
        from understudy.decorators import understudy


        class Model:
            def __init__(self):
                self.fitted = 0

            @understudy
            def fit(self, n):
                self.fitted += n
                return self

            @understudy
            @staticmethod
            def make():
                return {"made": [Model()]}

            @understudy
            @classmethod
            def clone(cls):
                return cls()


        model = Model()
        copy = model.fit(3).get(timeout=60)
        print(type(copy) is Model, copy.fitted, model.fitted)
        again = copy.fit(4).get(timeout=60)
        print(type(again) is Model, again.fitted)
        print(type(Model.make().get(timeout=60)["made"][0]) is Model)
        print(type(Model.clone().get(timeout=60)) is Model)
        """)
    assert said.splitlines() == ["True 3 0", "True 7", "True", "True"]


def test_a_result_changes_no_class_of_the_caller(user):
    said = user.script("""
        import enum
        from understudy import Executor


        class Base:
            known = []

            def __init_subclass__(cls, **keywords):
                super().__init_subclass__(**keywords)
                Base.known.append(cls.__name__)


        class Conf(Base):
            registry = []
            count = 0


        class Failed(Exception):
            count = 0

            def __init__(self, text):
                super().__init__(text)
                Failed.count += 1


        class Colour(enum.Enum):
            RED = 1


        Colour.used = 0


        class Planet(enum.Enum):
            EARTH = (5.976e24, 6378140.0)

            def __init__(self, mass, radius):
                self.mass = mass
                self.radius = radius

            def weigh(self, n):
                return self.mass * n



        def make():
            Conf.count += 10
            Conf.registry.append("there")
            return Conf()


        def fail():
            raise Failed("why")


        def colour():
            return Colour.RED


        pool = Executor()
        registry = Conf.registry
        result = pool.submit(make)
        result.accepted()
        Conf.registry.append("here")
        Conf.count += 1
        made = result.get(timeout=60)
        print(type(made) is Conf, Conf.registry is registry, registry, Conf.count)
        result = pool.submit(fail)
        result.accepted()
        Failed.count = 7
        error = result.exception(timeout=60)
        print(type(error) is Failed, Failed.count, Base.known)
        result = pool.submit(colour)
        result.accepted()
        Colour.used = 3
        print(result.get(timeout=60) is Colour.RED, Colour.used)
        print(pool.submit(Planet.EARTH.weigh, 2).get(timeout=60))
        """)
    assert said.splitlines() == [
        "True True ['here'] 1",
        "True 8 ['Conf']",
        "True 3",
        "1.1952e+25",
    ]


def test_the_caller_changes_its_class_between_two_jobs(user):
    said = user.script("""
        from understudy import Executor


        class Conf:
            level = 1


        def level(conf):
            return conf.level


        pool = Executor()
        print(pool.submit(level, Conf()).get(timeout=60))
        Conf.level = 2
        print(pool.submit(level, Conf()).get(timeout=60))
        """)
    assert said.split() == ["1", "2"]


def test_caches_dispatchers_and_context(user):
    said = user.script("""
        import contextvars
        import functools
        import threading
        import typing
        import weakref
        from understudy import Executor

        limit = contextvars.ContextVar("limit", default=1)
        unset = contextvars.ContextVar("unset")
        UserId = typing.NewType("UserId", int)
        P = typing.ParamSpec("P")
        local = threading.local()
        seen = weakref.WeakKeyDictionary()


        class _Missing:
            def __reduce__(self):
                return "MISSING"


        MISSING = _Missing()


        @functools.lru_cache(maxsize=None)
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)


        @functools.singledispatch
        def kind(value):
            return "any"


        @kind.register
        def _(value: int):
            return "int"


        @kind.register(list)
        def _(value):
            return [kind(part) for part in value]


        class Thing:
            def __init__(self, n):
                self.n = n

            @functools.cached_property
            def square(self):
                return self.n**2

            @functools.lru_cache
            def times(self, m):
                return self.n * m

            @functools.singledispatchmethod
            def show(self, value):
                return "any"

            @show.register
            def _(self, value: int):
                return "int"


        def use(thing, missing=MISSING):
            local.x = 1
            try:
                unset.get()
                was_set = True
            except LookupError:
                was_set = False
            return (
                fib(30), fib.cache_info().hits > 0, kind(1), kind([1, "a"]),
                thing.square, thing.times(3), thing.times(3), thing.show(1),
                thing.show(""), limit.get(), was_set, missing is MISSING, UserId(3),
                len(seen),
            )


        def give():
            return MISSING, limit, UserId


        pool = Executor()
        print(pool.submit(use, Thing(4)).get(timeout=60))
        limit.set(5)
        print(pool.submit(use, Thing(4), MISSING).get(timeout=60)[9:12])
        print(pool.submit(fib, 50).get(timeout=60))
        print(pool.submit(kind, 3).get(timeout=60))
        missing, variable, user_id = pool.submit(give).get(timeout=60)
        print(missing is MISSING, variable is limit, user_id is UserId)
        thing = pool.submit(Thing, 4).get(timeout=60)
        print(thing.square, thing.times(2), type(thing) is Thing)
        """)
    assert said.splitlines() == [
        "(832040, True, 'int', ['int', 'any'], 16, 12, 12, 'int', 'any', 1, False, "
        "True, 3, 0)",
        "(5, False, True)",
        "12586269025",
        "int",
        "True True True",
        "16 8 True",
    ]


def test_exit_and_coroutines(user):
    said = user.script("""
        import asyncio
        import functools
        import os
        import sys
        from understudy import Executor, RemoteError
        from understudy.decorators import understudy


        @understudy
        async def double(n):
            await asyncio.sleep(0)
            return 2 * n


        @understudy
        async def quadruple(n):
            return await double(await double(n))


        @understudy
        async def failing():
            raise ValueError("in a coroutine")


        @understudy
        def leave(status=None):
            sys.exit(status)


        @understudy
        def child():
            pid = os.fork()
            if pid == 0:
                sys.exit(0)
            return os.waitpid(pid, 0)[1]


        class Callable:
            async def __call__(self):
                return "called"


        print(double(4).get(timeout=60), quadruple(1).get(timeout=60))
        pool = Executor()
        print(pool.submit(functools.partial(double.__wrapped__, 5)).get(timeout=60))
        print(pool.submit(Callable()).get(timeout=60))
        print(repr(failing().exception(timeout=60)))
        print([r.get(timeout=60) for r in (leave(), leave(0), child())])
        for status in (3, "too bad"):
            result = leave(status)
            try:
                result.get(timeout=60)
            except Exception as error:
                print(type(error).__name__, error.status, error, repr(result.log))
        """)
    assert said.splitlines() == [
        "8 4",
        "10",
        "called",
        "ValueError('in a coroutine')",
        "[None, None, 0]",
        "RemoteError 3 SystemExit: 3 ''",
        "RemoteError 1 SystemExit: too bad 'too bad'",
    ]


def test_imports_that_may_not_run(user):
    said = user.script("""
        from typing import TYPE_CHECKING
        from understudy import Executor

        fast = False
        if TYPE_CHECKING:
            import not_here_a
        if fast:
            import not_here_b


        def maybe(fast):
            if fast:
                import yaml
                return yaml.__name__
            return "slow"


        def early(n):
            if n:
                return n
            import not_here_c


        def inner():
            def never():
                import not_here_d
            return "outer"


        def suppressed():
            import contextlib
            with contextlib.suppress(ImportError):
                import not_here_e
            return "suppressed"


        def certain():
            for _ in range(3):
                pass
            import yaml
            return yaml


        def old():
            import distutils
            return distutils.__name__


        pool = Executor()
        print(pool.submit(maybe, False).get(timeout=60))
        print(pool.submit(early, 3).get(timeout=60))
        print([pool.submit(f).get(timeout=60) for f in (inner, suppressed)])
        print(pool.submit(old).get(timeout=60))
        error = pool.submit(maybe, True).exception(timeout=60)
        print(type(error).__name__, error, error.__notes__)
        error = pool.submit(early, 0).exception(timeout=60)
        print(type(error).__name__, error.__notes__)
        print(pool.submit(certain).exception(timeout=60))
        """)
    assert said.splitlines() == [
        "slow",
        "3",
        "['outer', 'suppressed']",
        "distutils",
        "ModuleNotFoundError No module named 'yaml' ['add PyYAML to packages=[…]']",
        "ModuleNotFoundError ['add not_here_c to packages=[…]']",
        "`script.py` line 40 imports yaml; add PyYAML to packages=[…]",
    ]


def test_files_lines_and_sources_of_code_by_value(user):
    script = user.write(
        "deep/by_value.py",
        """
        import inspect
        import traceback
        from understudy import Executor


        class Tool:
            def check(self, n):
                raise ValueError(n)  # the line in question


        def fail(n):
            try:
                Tool().check(n)
            except ValueError:
                traceback.print_exc()
            return Tool().check(n)


        def source():
            return inspect.getsource(source)


        def give():
            return Tool()


        pool = Executor()
        result = pool.submit(fail, 1)
        try:
            result.get(timeout=60)
        except ValueError as error:
            print(error.__cause__)
        print(result.log)
        print(pool.submit(source).get(timeout=60))
        pool.submit(give).get(timeout=60)
        try:
            Tool().check(2)
        except ValueError:
            print(traceback.format_exc())
        """,
    )
    said = user.run([PYTHON, script]).stdout
    assert "<dynamic-code>" not in said
    assert said.count(f'File "{script}", line 8, in check') == 3
    assert said.count("raise ValueError(n)  # the line in question") == 3
    assert "return inspect.getsource(source)" in said


def test_objects_that_pickle_as_a_name(user):
    user.write("own/__init__.py", "")
    user.write(
        "own/marks.py",
        """
        class _Mark:
            def __reduce__(self):
                return "MARK"


        MARK = _Mark()
        """,
    )
    user.write(
        "lib/site-packages/foreign.py",
        """
        class _Mark:
            def __reduce__(self):
                return "MARK"


        MARK = _Mark()
        """,
    )
    said = user.script("""
        import sys
        sys.path.append("lib/site-packages")
        from understudy import Executor
        from own.marks import MARK
        import foreign

        theirs = foreign.MARK


        def ours(mark):
            from own import marks
            return mark is marks.MARK and MARK is mark


        pool = Executor()
        print(pool.submit(ours, MARK).get(timeout=60))
        for call in ((len, [theirs]), (lambda: theirs,)):
            print(pool.submit(*call).exception(timeout=60))
        """)
    lines = said.splitlines()
    assert lines[0] == "True"
    assert "foreign is needed; add it to packages" in lines[1]
    assert lines[2] == "`script.py` line 5 imports foreign; add it to packages=[…]"


def test_reloaded_and_edited_modules(user):
    user.write("helper.py", "def version():\n    return 1\n")
    user.write("jobs.py", "import helper\ndef run():\n    return helper.version()\n")
    done = user.run(
        [
            PYTHON,
            user.write(
                "script.py",
                """
                import ast
                import importlib
                import time
                import helper, jobs
                from understudy import Executor


                def write(n, file=helper.__file__):
                    with open(file, "w") as stream:
                        stream.write(f"def version():\\n    return {n}\\n")


                def patch(n):
                    text = f"def version():\\n    return {n}\\n"
                    exec(compile(text, helper.__file__, "exec"), vars(helper))


                def local():
                    return helper.version()


                def run():
                    return [pool.submit(f).get(timeout=60) for f in (jobs.run, local)]


                pool = Executor()
                print(run())
                write(22)
                print(run())  # edited, and not loaded again
                importlib.reload(helper)
                print(run())
                write(333)
                patch(333)
                print(run())  # as autoreload may do it
                """,
            ),
        ]
    )
    assert done.stdout.splitlines() == ["[1, 1]", "[1, 1]", "[22, 22]", "[333, 333]"]
    assert "edited" not in done.stderr
    done = user.run(
        [
            PYTHON,
            user.write(
                "gone.py",
                """
                import helper
                from understudy import Executor

                with open(helper.__file__, "w") as stream:
                    stream.write("def version():\\n    return 4444\\n")
                print(Executor().submit(helper.version).get(timeout=60))
                """,
            ),
        ]
    )
    assert f"{user.directory}/helper.py was edited" in done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_data_files(user):
    user.write("pkg/__init__.py", "")
    user.write("pkg/.hidden.txt", "secret")
    user.write("pkg/.dir/x.txt", "secret")
    user.write("pkg/secret.key", "secret")
    user.write("pkg/data/words.txt", "one two")
    user.write("pkg/plugins/__init__.py", "")
    user.write("pkg/plugins/extra.py", "")
    user.write(".gitignore", "*.key\n")
    subprocess.run(["git", "init", "-q", user.directory], check=True)
    (user.directory / "pkg/large.bin").write_bytes(os.urandom(17 << 20))
    user.write(
        "pkg/mod.py",
        """
        import importlib
        import importlib.resources
        import os

        HERE = os.path.dirname(__file__)


        def read():
            with open(os.path.join(HERE, "data", "words.txt")) as stream:
                text = stream.read()
            again = importlib.resources.files("pkg") / "data/words.txt"
            return text, again.read_text(), sorted(os.listdir(HERE))


        def plugin(name):
            return importlib.import_module(f"pkg.plugins.{name}")
        """,
    )
    done = user.run(
        [
            PYTHON,
            user.write(
                "script.py",
                """
                import warnings
                warnings.simplefilter("always")
                from pkg import mod
                from understudy import Executor

                pool = Executor()
                one, two, names = pool.submit(mod.read).get(timeout=60)
                print(one, two, [n for n in names if n != "__pycache__"])
                with open("pkg/data/words.txt", "w") as stream:
                    stream.write("changed")
                print(pool.submit(mod.read).get(timeout=60)[0])
                error = pool.submit(mod.plugin, "extra").exception(timeout=60)
                print(type(error).__name__, error.__notes__)
                """,
            ),
        ]
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "one two one two ['__init__.py', 'data', 'mod.py']"
    assert lines[1] == "changed"
    assert lines[2].startswith(
        "ModuleNotFoundError ['pkg.plugins is a module of your own"
    )
    assert "data files of the package pkg stay behind" in done.stderr
    assert "pkg/large.bin" in done.stderr


def test_what_only_programs_use(user):
    said = user.script("""
        from understudy import Executor, Lead, Result
        from understudy.decorators import understudy


        @understudy
        def inner(n):
            return n


        @understudy
        def outer():
            return inner(1).get()


        @understudy
        def lead():
            return Lead().shell("true")


        @understudy
        def execute():
            return Executor().submit(len, [])


        @understudy
        def result():
            return Result("00000000-0000-8000-8000-000000000000")


        def show(submit):
            try:
                submit()
            except Exception as error:
                print(type(error).__name__, error, getattr(error, "__notes__", []))


        show(lambda: outer().get(timeout=60))
        for function in (lead, execute, result):
            show(lambda: function().get(timeout=60))
        show(lambda: inner(inner(1)).get(timeout=60))
        """)
    lines = said.splitlines()
    assert lines[0].startswith("AttributeError 'int' object has no attribute 'get' [")
    assert "runs in place" in lines[0]
    assert len(lines) == 5
    for line in lines[1:]:
        assert "inside a job" in line


def test_a_module_that_runs_without_a_guard(user):
    user.write("pkg/__init__.py", "")
    user.write("pkg/near.py", "def near():\n    return 'near'\n")
    user.write(
        "pkg/main.py",
        """
        from understudy.decorators import understudy
        from .near import near


        @understudy
        def f(n):
            from . import near as module
            return n + scale, near(), module.near()


        if __name__ == "__main__":
            scale = 10

        print(f(1).get(timeout=60))
        """,
    )
    assert user.run([PYTHON, "-m", "pkg.main"]).stdout == "(11, 'near', 'near')\n"


def test_processes_that_a_job_starts(user):
    user.write(
        "helper.py",
        """
        from understudy.decorators import understudy


        @understudy
        def triple(n):
            return 3 * n
        """,
    )
    said = user.script("""
        import functools
        import multiprocessing
        import pickle
        import subprocess
        import sys
        from concurrent.futures import ProcessPoolExecutor

        import helper
        from understudy import Executor
        from understudy.decorators import understudy

        scale = 2


        class Point:
            def __init__(self, x):
                self.x = x


        def double(n):
            return scale * n


        @functools.lru_cache
        def cached(n):
            return double(n)


        @understudy
        def move(point):
            return Point(point.x + double(1))


        @understudy
        def pool(method):
            context = multiprocessing.get_context(method)
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                moved = list(pool.map(move, [Point(1), Point(2)], timeout=60))
                numbers = list(pool.map(double, range(3), timeout=60))
                numbers += pool.map(cached, range(2), timeout=60)
            return [type(point) is Point for point in moved], numbers, moved


        @understudy
        def dump():
            one, two = pickle.loads(pickle.dumps([double, Point(5)]))
            return one is double, two.x, type(two) is Point, two


        @understudy
        def program():
            code = "import helper; print(helper.triple.__wrapped__(5))"
            return subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True
            ), helper.triple(1)


        if __name__ == "__main__":
            for method in ("fork", "spawn", "forkserver"):
                same, numbers, moved = pool(method).get(timeout=60)
                print(method, same, numbers, [type(p) is Point for p in moved])
            *values, point = dump().get(timeout=60)
            print(values, type(point) is Point)
            done, value = program().get(timeout=60)
            print(done.stdout.strip(), done.stderr, value)
        """)
    assert said.splitlines() == [
        "fork [True, True] [0, 2, 4, 0, 2] [True, True]",
        "spawn [True, True] [0, 2, 4, 0, 2] [True, True]",
        "forkserver [True, True] [0, 2, 4, 0, 2] [True, True]",
        "[True, 5, True] True",
        "15  3",
    ]


def test_functions_of_a_test_module(user):
    script = user.write(
        "test_users.py",
        """
        from understudy import Executor


        def test_asserts():
            limit = 3

            def check(n):
                assert n < limit, "too much"
                return n

            pool = Executor()
            assert pool.submit(check, 1).get(timeout=60) == 1
            error = pool.submit(check, 5).exception(timeout=60)
            assert isinstance(error, AssertionError) and "too much" in str(error)
        """,
    )
    user.run([PYTHON, "-m", "pytest", "-q", script, "-p", "no:cacheprovider"])


def test_chunks_end_as_single_calls_do(user):
    said = user.script("""
        import sys
        from understudy import Executor


        async def double(n):
            return 2 * n


        def leave(status):
            sys.exit(status)


        with Executor() as pool:
            print(list(pool.map(double, range(4), chunksize=2)))
            print(list(pool.map(leave, [0, None, 0], chunksize=3)))
            ends = pool.map(leave, [0, 3, 0], chunksize=3, return_exceptions=True)
            print([getattr(end, "status", end) for end in ends])
        """)
    assert said.splitlines() == [
        "[0, 2, 4, 6]",
        "[None, None, None]",
        "[None, 3, None]",
    ]


def test_a_module_that_is_only_mentioned(user):
    said = user.script("""
        import yaml
        from understudy import Executor


        def show(value):
            return yaml.dump(value)


        def work(n, verbose=False):
            if verbose:
                return show(n)
            return n


        def certain(n):
            return yaml.dump(n)


        with Executor() as pool:
            print(pool.submit(work, 3).get(timeout=60))
            error = pool.submit(work, 3, True).exception(timeout=60)
            print(repr(error), error.__notes__)
            print(pool.submit(certain, 3).exception(timeout=60))
        """)
    assert said.splitlines() == [
        "3",
        "ModuleNotFoundError(\"No module named 'yaml'\") "
        "['add PyYAML to packages=[…]']",
        "`script.py` line 1 imports yaml; add PyYAML to packages=[…]",
    ]


def test_named_tuples(user):
    said = user.script("""
        import collections
        import typing
        from understudy.decorators import understudy


        class Point(typing.NamedTuple):
            x: int
            y: int = 7

            def total(self):
                return self.x + self.y


        Pair = collections.namedtuple("Pair", "a b")


        @understudy
        def move(point):
            return [point._replace(x=point.x + 1), Point(1), point.total()], Pair(1, 2)


        (moved, made, total), pair = move(Point(3)).get(timeout=60)
        print(moved, type(moved) is Point, made, total, type(pair) is Pair)
        """)
    assert said == "Point(x=4, y=7) True Point(x=1, y=7) 10 True\n"


def test_arguments_that_need_cloudpickle_come_later(broker, node, client):
    """The function has been found without it, in the same worker."""
    broker()
    node(channel="default", slots=1)
    user = client()
    user.write("tools.py", "import os\n\ndef same(obj):\n    return obj, os.getpid()\n")
    said = user.script("""
        from tools import same
        from understudy import Executor

        with Executor() as pool:
            one, pid = pool.submit(same, (1,)).result()
            keys, again = pool.submit(same, {"a": 1}.keys()).result()
            call, third = pool.submit(same, lambda: 5).result()
            two, fourth = pool.submit(same, (2,)).result()
            print(one, list(keys), call(), two, {pid} == {again, third, fourth})
        """)
    assert said == "(1,) ['a'] 5 (2,) True\n"
