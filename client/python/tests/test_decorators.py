# SPDX-License-Identifier: MIT
"""The decorator in all its spellings; calls run in an interpreter without the code."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re

import pytest
from remote import run, value_of

from understudy import Executor, Lead, Result, Understudy, _context
from understudy._settings import Settings
from understudy.decorators import Decorated, understudy
from understudy.exceptions import InvalidArgument, NoUnderstudiesError

JOBS = """
    from understudy.decorators import understudy

    @understudy
    def bare(n):
        "Doubles."
        return 2 * n

    @understudy()
    def called(n):
        return 3 * n

    @understudy("calculator")
    def named(n, *, plus=0):
        return 4 * n + plus

    class Tool:
        factor = 5

        def __init__(self, factor=7):
            self.factor = factor

        @understudy
        def method(self, n):
            self.logger.info("times %s", self.factor)
            return self.factor * n

        @understudy
        @classmethod
        def outer_class(cls, n):
            return cls.factor * n

        @classmethod
        @understudy
        def inner_class(cls, n):
            return cls.factor * n

        @understudy
        @staticmethod
        def outer_static(n):
            return -n

        @staticmethod
        @understudy
        def inner_static(n):
            return -n

        @understudy
        def twice(self, n):
            return self.method(n) + self.method(n)

    class Sub(Tool):
        factor = 6
"""


@pytest.fixture
def jobs(project, core):
    project("jobs.py", JOBS)
    return importlib.import_module("jobs")


def test_decorating_opens_nothing(jobs, core):
    assert core.Client.made == []


def test_it_looks_like_the_function(jobs):
    assert jobs.bare.__name__ == jobs.bare.__qualname__ == "bare"
    assert jobs.bare.__doc__ == "Doubles."
    assert jobs.bare.__module__ == "jobs"
    assert jobs.bare.__wrapped__(4) == 8
    assert list(inspect.signature(jobs.named).parameters) == ["n", "plus"]
    assert jobs.Tool.method is jobs.Tool.__dict__["method"]
    assert jobs.Tool().method.__name__ == "method"
    assert repr(jobs.named) == "<understudy jobs.named on 'calculator'>"


def test_it_is_picklable_by_name(jobs):
    assert pickle.loads(pickle.dumps(jobs.bare)) is jobs.bare
    assert pickle.loads(pickle.dumps(jobs.Tool.method)) is jobs.Tool.method
    bound = pickle.loads(pickle.dumps(jobs.Tool(9).method))
    assert bound.__self__.factor == 9


@pytest.mark.parametrize(
    ("call", "value", "channel"),
    [
        (lambda jobs: jobs.bare(2), 4, "default"),
        (lambda jobs: jobs.called(2), 6, "default"),
        (lambda jobs: jobs.named(2, plus=1), 9, "calculator"),
        (lambda jobs: jobs.Tool(8).method(2), 16, "default"),
        (lambda jobs: jobs.Tool.method(jobs.Tool(8), 2), 16, "default"),
        (lambda jobs: jobs.Sub(8).method(3), 24, "default"),
        (lambda jobs: jobs.Tool.outer_class(2), 10, "default"),
        (lambda jobs: jobs.Sub.outer_class(2), 12, "default"),
        (lambda jobs: jobs.Sub().inner_class(2), 12, "default"),
        (lambda jobs: jobs.Tool.inner_class(2), 10, "default"),
        (lambda jobs: jobs.Tool.outer_static(2), -2, "default"),
        (lambda jobs: jobs.Tool().inner_static(2), -2, "default"),
        (lambda jobs: jobs.Tool(2).twice(3), 12, "default"),
        (lambda jobs: jobs.Tool(3).method.submit(3), 9, "default"),
    ],
)
def test_it_runs_elsewhere(jobs, core, call, value, channel):
    result = call(jobs)
    assert result._job.channel == channel
    assert value_of(result) == value


def test_self_has_a_logger_there(jobs, core):
    result = jobs.Tool(3).method(2)
    assert value_of(result) == 6


def test_plain_arguments_are_msgpack_and_methods_pickle(jobs, core):
    plain = jobs.bare(2)._job
    assert plain.submitted.endswith(b"\x92\xa1m\xc4\x04\x92\x91\x02\x80")
    assert b"\x94\xa1p" in jobs.Tool().method(2)._job.submitted
    assert plain.options["python"] is None


def test_what_does_not_change_is_made_once(jobs, core):
    one, two = jobs.bare(1)._job, jobs.bare(2)._job
    assert one.options["blobs"][0] is two.options["blobs"][0]
    other = jobs.called(1)._job
    assert other.options["blobs"][0] is one.options["blobs"][0]
    assert len(core.Client.made) == 1
    assert core.Client.made[0].connects == 1


def test_inside_a_job_it_runs_in_place(jobs, core, monkeypatch):
    monkeypatch.setattr(_context, "in_worker", True)
    assert jobs.bare(2) == 4
    assert jobs.bare.map([1, 2]) == [2, 4]
    assert jobs.bare.submit(3).result() == 6
    assert jobs.Tool(4).method(2) == 8
    assert jobs.Tool.outer_class(2) == 10
    assert core.Client.made == []


def test_map(jobs, core, monkeypatch):
    from understudy import _call

    real = _call.Caller.submit

    def submit(self, function, args, kwargs):
        result = real(self, function, args, kwargs)
        run(result._job)
        return result

    monkeypatch.setattr(_call.Caller, "submit", submit)
    assert jobs.bare.map([1, 2, 3]) == [2, 4, 6]
    assert jobs.bare.map(iter([1, 2]), progress=True) == [2, 4]
    assert jobs.Tool(2).method.map([1, 2]) == [2, 4]
    with pytest.raises(TypeError, match="NoneType"):
        jobs.bare.map([1, None, 3])


def test_block_prints_the_log_and_gives_the_value(project, core, capsys, monkeypatch):
    from understudy import _call

    project(
        "noisy.py",
        """
        from understudy.decorators import understudy

        class Adder:
            @understudy("calculator", block=True)
            def add(self, a, b):
                self.logger.info("Adding %s to %s", a, b)
                return a + b

            @understudy(block=True)
            def fail(self):
                raise KeyError("no")
        """,
    )
    noisy = importlib.import_module("noisy")
    real = _call.Caller.submit

    def submit(self, function, args, kwargs):
        result = real(self, function, args, kwargs)
        assert result._job.options["stream_log"]
        result._job.log(b"Adding 1 to 1\n")
        run(result._job)
        return result

    monkeypatch.setattr(_call.Caller, "submit", submit)
    assert noisy.Adder().add(1, 1) == 2
    assert capsys.readouterr().out.startswith("Adding 1 to 1\n")
    with pytest.raises(KeyError, match="no"):
        noisy.Adder().fail()


def test_ctrl_c_cancels_a_blocking_call(core, monkeypatch):
    @understudy(block=True)
    def slow():
        pass

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(core.Job, "read_log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        slow()
    job = core.Client.made[0].jobs[0]
    assert job.cancels == [1]
    assert job.state == 7


def test_options_reach_the_job(core):
    @understudy(
        "c",
        packages=["pytz>=1", "numpy"],
        constraints=["numpy<2"],
        retries=2,
        timeout=3,
        expires=60,
        isolation="fresh",
    )
    def f():
        pass

    options = f()._job.options
    assert options["packages"] == ("pytz>=1", "numpy")
    assert options["constraints"] == ("numpy<2",)
    assert (options["retries"], options["soft_limit"], options["hard_limit"]) == (
        2,
        3,
        8,
    )
    assert (options["expires"], options["fresh"], options["queue"]) == (60, True, True)


def test_queue_false(core):
    @understudy("calculator", queue=False)
    def f():
        pass

    core.Client.made.clear()
    assert f().accepted()
    core.Client.made[0].listened = False
    with pytest.raises(NoUnderstudiesError, match="calculator"):
        f()


@pytest.mark.parametrize(
    ("keywords", "settings"),
    [
        ({}, Settings()),
        ({"broker": "tcp://a:1"}, Settings("tcp://a:1")),
        ({"host": "h"}, Settings(None, "redis://h:6379/0")),
        ({"port": 1}, Settings(None, "redis://localhost:1/0")),
        ({"db": 3}, Settings(None, "redis://localhost:6379/3")),
        ({"host": "::1"}, Settings(None, "redis://[::1]:6379/0")),
        ({"password": "p@/:"}, Settings(None, "redis://:p%40%2F%3A@localhost:6379/0")),
        (
            {"username": "u", "password": "p"},
            Settings(None, "redis://u:p@localhost:6379/0"),
        ),
        ({"unix_socket_path": "/a b/s"}, Settings(None, "unix:///a%20b/s?db=0")),
    ],
)
def test_where(keywords, settings):
    assert understudy("c", **keywords)(lambda: None)._options.settings == settings


@pytest.mark.parametrize(
    "keywords",
    [
        {"broker": "tcp://a:1", "host": "h"},
        {"broker": ""},
        {"host": "a b"},
        {"port": 0},
        {"port": "6379"},
        {"db": -1},
        {"unix_socket_path": "/s", "host": "h"},
        {"username": "u"},
        {"packages": "pytz"},
        {"packages": [1]},
        {"python": "3"},
        {"python": 3.11},
        {"retries": -1},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"isolation": "stale"},
        {"trust": "nobody"},
        {"channel": "bad channel"},
        {"channel": ""},
        {"channel": "x" * 129},
        {"channel": "-x"},
    ],
)
def test_wrong_keywords(keywords):
    with pytest.raises(InvalidArgument):
        understudy(**keywords)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: understudy(package=["pytz"]), "'package'; did you mean 'packages'"),
        (lambda: Executor(hots="a"), "'hots'; did you mean 'host'"),
        (lambda: Lead(when=3), "'when'; there are block, queue, packages"),
        (lambda: Understudy(slot=2), "'slot'; did you mean 'slots'"),
        (lambda: Result("x", channels="a"), "'channels'; did you mean 'channel'"),
    ],
)
def test_keywords_that_nobody_has(call, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        call()


def test_wrong_things_to_decorate():
    with pytest.raises(TypeError):
        understudy(42)
    with pytest.raises(TypeError):
        understudy("c")(int)
    with pytest.raises(TypeError, match="generator"):

        @understudy
        def g():
            yield 1

    with pytest.raises(TypeError):
        understudy("c", no_such_keyword=1)


def test_it_is_generic():
    assert Decorated[int, int]
