# SPDX-License-Identifier: MIT
"""Exceptions of jobs, rebuilt."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import sys
import traceback
import types

import pytest

from understudy import _envelope, _failures
from understudy._failures import RemoteTraceback, rebuild
from understudy.exceptions import (
    EnvironmentBuildError,
    JobExpired,
    RemoteError,
    TimeLimitExceeded,
    UnderstudyError,
    WorkerDied,
)


def envelope(error, code=RemoteError.code, with_pickle=True, **more):
    data = _envelope.encode_pickle(pickle.dumps(error), False) if with_pickle else None
    kind = type(error)
    return _envelope.Failure(
        code,
        kind.__qualname__,
        str(error),
        kind.__module__,
        traceback=more.pop("traceback", ""),
        pickle=data,
        detail=more,
    ).encode()


class Mine(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)
        self.both = (a, b)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("why"),
        KeyError("key"),
        FileNotFoundError(2, "No such file", "name"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        Mine(1, 2),
        TimeLimitExceeded("raised by the job itself"),
    ],
)
def test_from_their_pickle(error):
    copy = rebuild(envelope(error), -24, "")
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (ValueError("why"), ValueError("why")),
        (KeyError("key"), KeyError("key")),
        (ZeroDivisionError(), ZeroDivisionError()),
        (TimeLimitExceeded("own"), TimeLimitExceeded("own")),
    ],
)
@pytest.mark.parametrize("with_pickle", [True, False])
def test_from_the_table_where_pickles_are_not_loaded(error, wanted, with_pickle):
    copy = rebuild(envelope(error, with_pickle=with_pickle), -24, "", trust=False)
    assert (type(copy), str(copy)) == (type(wanted), str(wanted))


@pytest.mark.parametrize(
    "error",
    [Mine(1, 2), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")],
)
def test_others_are_remote_errors(error):
    copy = rebuild(envelope(error, traceback="T"), -24, "", trust=False)
    assert type(copy) is RemoteError
    assert str(error) in str(copy)
    assert copy.type_name.endswith(type(error).__name__)
    assert copy.traceback == "T"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_ends_the_program_that_asks(error):
    copy = rebuild(envelope(error), -24, "")
    assert type(copy) is RemoteError
    assert str(copy).startswith(type(error).__name__)


def test_a_pickle_of_something_else_is_not_raised():
    body = _envelope.Failure(
        -24,
        "ValueError",
        "why",
        "builtins",
        pickle=_envelope.encode_pickle(pickle.dumps(builtins.print), False),
    ).encode()
    copy = rebuild(body, -24, "")
    assert (type(copy), str(copy)) == (ValueError, "why")


def test_failures_of_the_system():
    error = EnvironmentBuildError("no such package")
    body = envelope(
        error, -17, with_pickle=False, node="n", command="uv", output="words"
    )
    copy = rebuild(body, -17, "")
    assert type(copy) is EnvironmentBuildError
    assert (copy.node, copy.command, copy.output) == ("n", "uv", "words")
    died = rebuild(envelope(WorkerDied("x"), -18, False, signal=9, log="l"), -18, "")
    assert (died.signal, died.log) == (9, "l")
    assert type(rebuild(b"", -22, "too late")) is JobExpired
    assert str(rebuild(b"", -22, "too late")) == "too late"
    assert isinstance(rebuild(b"\xc1", -22, "too late"), UnderstudyError)


TEXT = """Traceback (most recent call last):
  File "pkg/jobs.py", line 2, in f
  File "/elsewhere/other.py", line 9, in g
    known_there()
    ~~~~~~~~~~~^^
  File "{main}", line 1, in <lambda>
ValueError: why
"""


def test_source_lines_are_filled_in(tmp_path, monkeypatch):
    (tmp_path / "jobs.py").write_text("def f():\n    return g()\n")
    (tmp_path / "main.py").write_text("k = lambda: f()\n")
    monkeypatch.setitem(
        _failures._bundle._files, "pkg/jobs.py", str(tmp_path / "jobs.py")
    )
    main = types.ModuleType("main")
    main.__file__ = str(tmp_path / "main.py")
    monkeypatch.setitem(sys.modules, "main", main)
    text = TEXT.format(main=tmp_path / "main.py")
    error = rebuild(envelope(ValueError("why"), traceback=text), -24, "")
    assert type(error.__cause__) is RemoteTraceback
    assert error.__cause__.text.split("\n") == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/jobs.py", line 2, in f',
        "    return g()",
        '  File "/elsewhere/other.py", line 9, in g',
        "    known_there()",
        "    ~~~~~~~~~~~^^",
        f'  File "{tmp_path}/main.py", line 1, in <lambda>',
        "    k = lambda: f()",
        "ValueError: why",
    ]
    shown = "".join(traceback.format_exception(error))
    assert "    return g()" in shown
    assert "The above exception was the direct cause" in shown


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../../../../../../../../etc/passwd",
        "../../../../../../../../dev/zero",
        "/dev/zero",
        "{here}/pipe",
        "{here}/pipe.py",
        "{here}/secret.py",
        "secret.py",
        "nul\0.py",
    ],
)
def test_only_source_of_the_program_is_read(name, tmp_path, monkeypatch):
    """A node may name any file: a pipe would hang, a device would fill the memory."""
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "secret.py").write_text("PASSWORD = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    name = name.format(here=tmp_path)
    text = f'Traceback\n  File "{name}", line 1, in f\nX: y\n'
    assert _failures.fill_in(text) == text.rstrip("\n")


def test_source_of_a_loaded_module_is_read():
    text = f'Traceback\n  File "{json.__file__}", line 1, in f\nX: y\n'
    assert _failures.fill_in(text).count("\n") == text.count("\n")
