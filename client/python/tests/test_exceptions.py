# SPDX-License-Identifier: MIT
"""The exceptions are those of include/understudy/error.h."""

from __future__ import annotations

import concurrent.futures
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import understudy
from understudy import exceptions

HEADER = Path(__file__).resolve().parents[3] / "include/understudy/error.h"
ROWS = re.findall(r'X \((\w+), (-\d+), "([^"]+)", "(\w+)"\)', HEADER.read_text())
CLASSES = [getattr(exceptions, name) for name in exceptions.__all__]


def test_there_are_rows():
    assert len(ROWS) > 30


@pytest.mark.parametrize(("name", "number", "text", "cls"), ROWS)
def test_every_error_has_its_class(name, number, text, cls):
    found = getattr(exceptions, cls)
    assert found.code == int(number)
    assert found.summary == text
    assert str(found()) == text
    assert type(exceptions._from_code(int(number), "why")) is found


def test_there_are_no_others():
    assert {cls for *_, cls in ROWS} | {"UnderstudyError"} == set(exceptions.__all__)


def test_the_version_is_that_of_the_library():
    header = HEADER.with_name("version.h").read_text()
    assert f'US_VERSION_STRING "{understudy.__version__}"' in header


def test_all_are_exported_and_sorted():
    assert exceptions.__all__ == sorted(exceptions.__all__)
    assert understudy.__all__ == sorted(understudy.__all__)
    assert set(exceptions.__all__) <= set(understudy.__all__)
    assert all(getattr(understudy, name) is not None for name in understudy.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_they_survive_pickling(cls):
    error = cls("why", detail={"node": "a"})
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert (str(copy), copy.detail, copy.code) == ("why", {"node": "a"}, cls.code)


def test_some_are_builtin_ones_too():
    assert issubclass(exceptions.WaitTimeout, TimeoutError)
    assert issubclass(exceptions.WaitTimeout, concurrent.futures.TimeoutError)
    assert issubclass(exceptions.JobCancelled, concurrent.futures.CancelledError)
    assert issubclass(exceptions.BrokerUnreachable, ConnectionError)
    assert issubclass(exceptions.InvalidArgument, ValueError)
    assert issubclass(exceptions.InvalidRequirement, ValueError)


def test_an_unknown_number_is_kept():
    error = exceptions._from_code(-999, "strange")
    assert type(error) is exceptions.UnderstudyError
    assert (error.code, str(error)) == (-999, "strange")


def test_the_words_of_programs_are_shown():
    died = exceptions.WorkerDied("it died", detail={"signal": 11, "log": "a\nb\n"})
    assert str(died) == "it died (SIGSEGV)\nthe last lines of its log:\n  a\n  b"
    assert str(exceptions.WorkerDied("x", detail={"exit_code": 3})) == "x"
    failed = exceptions.EnvironmentBuildError("uv failed", detail={"output": "no a\n"})
    assert str(failed) == "uv failed\n  no a"
    detail = {"output": "no a\n"}
    assert str(exceptions.EnvironmentBuildError("no a", detail=detail)) == "no a"


def test_details():
    died = exceptions.WorkerDied("x", detail={"signal": 11, "log": "a\nb"})
    assert (died.signal, died.exit_code, died.log) == (11, None, "a\nb")
    failed = exceptions.ShellError("x", detail={"exit_code": 3, "output": "out"})
    assert (failed.exit_code, failed.output) == (3, "out")


def test_a_node_needs_neither_extension_nor_cloudpickle():
    """User modules import all of this at their top; it must load on a node."""
    source = """
        import sys
        for name in ("understudy._core", "cloudpickle", "tqdm"):
            sys.modules[name] = None
        from understudy import Executor, Lead, Result, Understudy, UnderstudyError
        from understudy.decorators import understudy
        from understudy.exceptions import NoUnderstudiesError
        Lead("c"), Executor("c"), Understudy("c"), understudy("c")(lambda: 1)
    """
    env = {"PYTHONPATH": str(Path(understudy.__file__).parents[1])}
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], env=env, check=True, timeout=60
    )


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "$ pip install\nERROR: Could not find a version (from versions: none)\n"
            "ERROR: No matching distribution found for nothing==1\nunderstudy: no\n",
            "No matching distribution found for nothing==1",
        ),
        (
            "$ uv pip install\n  × No solution found when resolving dependencies:\n"
            "  ╰─▶ Because nothing was not found in the package registry and you\n"
            "      require nothing, your requirements are unsatisfiable.\n",
            "No solution found when resolving dependencies: Because nothing was not "
            "found in the package registry and you require nothing, your requirements "
            "are unsatisfiable.",
        ),
        ("error: Failed to fetch: `https://x/`\n", "Failed to fetch: `https://x/`"),
        ("Killed\n", ""),
    ],
)
def test_an_environment_error_begins_with_the_reason(output, reason):
    detail = {"command": "pip install -r r.txt", "output": output}
    message = "pip install -r r.txt: the command failed with exit code 1\n" + output
    error = exceptions.EnvironmentBuildError(message, detail=detail)
    assert error.reason == reason
    assert str(error).startswith(reason or "the command failed with exit code 1")
    assert "the command failed with exit code 1" in str(error)
