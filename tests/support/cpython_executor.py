# SPDX-License-Identifier: MIT
"""Runs CPython's own tests of executors against Executor, and prints as JSON what came
of each: "ok", "skipped", or why not.

The tests come from the test package of the interpreter that runs this program; nothing
of them is kept here. Its argument is the channel. Ends with status 77 where the
interpreter has no test package.
"""

import importlib
import json
import sys
import unittest

from understudy import Executor
from understudy.exceptions import WorkerDied

# The classes without an executor of their own, and where they are since Python 3.12.
MIXINS = {
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
    "ProcessPoolExecutorTest": "test_process_pool",  # with those of all executors
    "ExecutorShutdownTest": "test_shutdown",
    "ExecutorDeadlockTest": "test_deadlock",
}
PACKAGE = "test.test_concurrent_futures"


def find(name, submodule):
    """A class of the package (one module up to Python 3.11), and its module."""
    whole = importlib.import_module(PACKAGE)
    if hasattr(whole, name):
        return getattr(whole, name), whole
    module = importlib.import_module(f"{PACKAGE}.{submodule}")
    return getattr(module, name), module


class Pool(Executor):
    """Made as the tests make pools of processes."""

    def __init__(self, max_workers=None, mp_context=None):
        super().__init__(sys.argv[1], max_workers=max_workers)


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.of = {}

    def note(self, test, what):
        self.of.setdefault(test.id().partition(".")[2], what)

    def addSuccess(self, test):
        self.note(test, "ok")

    def addSkip(self, test, reason):
        self.note(test, "skipped")

    def addFailure(self, test, error):
        self.note(test, self._exc_info_to_string(error, test))

    addError = addFailure


def classes():
    base, _ = find("BaseTestCase", "util")
    mixin, _ = find("ExecutorMixin", "util")
    for name, submodule in MIXINS.items():
        tests, module = find(name, submodule)
        # What a pool of processes says of a worker that died, WorkerDied says here.
        if hasattr(module, "BrokenProcessPool"):
            module.BrokenProcessPool = WorkerDied
        body = {
            "executor_type": Pool,
            "get_context": lambda self: None,
            "__module__": "understudy",
        }
        yield type(name, (tests, mixin, base), body)


def main():
    try:
        importlib.import_module(PACKAGE)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
    importlib.import_module("test.support").verbose = 0
    outcomes = Outcomes()
    for cls in classes():
        unittest.defaultTestLoader.loadTestsFromTestCase(cls).run(outcomes)
    print(json.dumps(outcomes.of))


if __name__ == "__main__":
    main()
